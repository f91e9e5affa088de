"""How a stream is divided into packets, packets into slots, and what the side information of a packet takes.

A packet has 256 latent frames. Its side information describes the levels of the channels in *level slots* of 8
frames and their correlations in *slots* of 64 frames. The last packet of a stream and the last slot of a packet
also hold what is left over, so that no packet and no slot is shorter than the others unless it is the only one.
"""

from __future__ import annotations

PACKET_FRAMES = 256  # 2.97 s at 44.1 kHz and a hop of 512 samples
LEVEL_SLOT_FRAMES, SLOT_FRAMES = 8, 64  # 93 ms and 0.74 s


def packet_frame_counts(frames: int) -> list[int]:
    """Frames of every packet of a stream of `frames` frames: `PACKET_FRAMES`, and in the last one all the rest."""
    packets = max(1, frames // PACKET_FRAMES)
    return [PACKET_FRAMES] * (packets - 1) + [frames - PACKET_FRAMES * (packets - 1)]


def slot_counts(frames: int) -> tuple[int, int]:
    """Level slots and slots of a packet of `frames` frames, at least one of each."""
    return max(1, frames // LEVEL_SLOT_FRAMES), max(1, frames // SLOT_FRAMES)


def side_info_bytes(channels: int, frames: int) -> int:
    """Bytes of the side information of a packet of `frames` frames: 400 per slot for 16 channels."""
    return slot_counts(frames)[1] * -(-(5 * channels * (channels + 1) + 12 * channels + 48) // 4)
