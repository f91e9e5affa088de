"""How a stream is divided into packets, packets into slots, and what the side information of a packet takes.

A packet has 256 latent frames. Its side information describes the levels of the channels in *level slots* of 8
frames and their correlations in *slots* of 64 frames. The last packet of a stream and the last slot of a packet
also hold what is left over, so that no packet and no slot is shorter than the others unless it is the only one.

A stream of low delay has packets of 16 frames, all of one size: the last one is completed with silence. A packet
is one slot, whose levels and correlations take two thirds of the usual bytes.
"""

from __future__ import annotations

from typing import NamedTuple

PACKET_FRAMES = 256  # 2.97 s at 44.1 kHz and a hop of 512 samples
LEVEL_SLOT_FRAMES, SLOT_FRAMES = 8, 64  # 93 ms and 0.74 s
CODEBOOKS_KEPT = 2  # where coefficients take the place of others; the envelope takes a part of the second one


class Framing(NamedTuple):
    """How a stream is divided into packets.

    Attributes
    ----------
    packet_frames : int
        Frames of a packet, but for the last one of a stream without `equal_packets`.
    equal_packets : bool
        Whether the last packet is completed with silence; otherwise it takes what is left over.
    parameter_sixteenths : int
        Of the bytes 5C(C + 1) + 12C + 48, what the levels and correlations of C channels take in a slot.
    """

    packet_frames: int
    equal_packets: bool
    parameter_sixteenths: int


STANDARD = Framing(PACKET_FRAMES, equal_packets=False, parameter_sixteenths=3)
LOW_DELAY = Framing(16, equal_packets=True, parameter_sixteenths=2)


def packet_frame_counts(frames: int) -> list[int]:
    """Frames of every packet of a stream of `frames` frames: `PACKET_FRAMES`, and in the last one all the rest."""
    packets = max(1, frames // PACKET_FRAMES)
    return [PACKET_FRAMES] * (packets - 1) + [frames - PACKET_FRAMES * (packets - 1)]


def slot_counts(frames: int) -> tuple[int, int]:
    """Level slots and slots of a packet of `frames` frames, at least one of each."""
    return max(1, frames // LEVEL_SLOT_FRAMES), max(1, frames // SLOT_FRAMES)


def side_info_bytes(channels: int, frames: int, framing: Framing = STANDARD) -> int:
    """Bytes of levels and correlations of a packet of `frames` frames: 300 per slot for 16 channels, or 200."""
    whole = 5 * channels * (channels + 1) + 12 * channels + 48
    return slot_counts(frames)[1] * -(-whole * framing.parameter_sixteenths // 16)


def coefficient_bytes(units: int, frames: int) -> int:
    """Bytes of the attacks and coefficients of a packet of `frames` frames: half a byte per unit and frame."""
    return -(-units * frames // 2)


def envelope_bytes(units: int, frames: int) -> int:
    """Bytes of the temporal envelope of a packet of `frames` frames: a sixteenth of those, rounded down."""
    return units * frames // 32
