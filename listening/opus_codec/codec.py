"""Ambisonic scenes to Ogg Opus files and back (RFC 7845, RFC 8486), in memory or block by block."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from listening.opus_codec import libopus, ogg_opus
from listening.opus_codec.libopus import mixing_matrix
from listening.opus_codec.ogg_opus import AMBISONIC_FAMILIES, DISCRETE_FAMILY, SAMPLE_RATE_HZ, OpusHead, OpusTags
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length
from render.hoa.scene import Scene, order_of

BLOCK_SAMPLES = 65_536
BITRATE_PER_CHANNEL_BPS = (500, 300_000)  # libopus clamps other rates silently


@dataclass(frozen=True)
class OpusSettings:
    """How to encode. The defaults are `opusenc`'s, at the paper's rate.

    Attributes
    ----------
    bitrate_bps : int
        Nominal rate of all channels together. With `vbr` the real rate depends on the material (half to
        one and a half of it): measure it with `inspect`.
    family : int
        3: the channels through a mixing matrix (orders 1 to 3). 2: each by itself, and then always with
        the full bandwidth, which libopus at low rates would give up first.
    signal : str
        ``auto`` lets libopus choose for every frame, also its speech modes, which it does on noise-like
        ambience; ``music`` asks for its music mode.
    vbr : bool
        Variable bit rate; otherwise every packet has the nominal size.
    complexity : int
        0 to 10.
    """

    bitrate_bps: int = 160_000
    family: int = 3
    signal: str = "auto"
    vbr: bool = True
    complexity: int = 10

    def __post_init__(self):
        if self.family not in (2, 3):
            raise InputError(f"Opus channel mapping family {self.family}; 2 and 3 are Ambisonics (RFC 8486)")
        if self.signal not in ("auto", "music"):
            raise InputError(f"Opus signal {self.signal!r}; possible are auto, music")
        if not 0 <= self.complexity <= 10:
            raise InputError(f"Opus complexity {self.complexity}; possible are 0 to 10")

    def __str__(self) -> str:
        return " ".join(
            (
                f"bitrate={self.bitrate_bps}",
                f"family={self.family}",
                f"signal={self.signal}",
                f"vbr={int(self.vbr)}",
                f"complexity={self.complexity}",
            )
        )


PAPER = OpusSettings()


def version() -> str:
    """Return the name of the libopus that encodes and decodes here, as ``libopus 1.3.1``."""
    return libopus.version()


def library_path() -> str:
    """Path of the file that this libopus was loaded from, or its name where the system does not tell."""
    name = libopus.library()._name
    maps = Path("/proc/self/maps")
    if maps.is_file():  # Linux
        stem = Path(name).name.split(".")[0]
        files = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines() if stem in line}
        name = min((file for file in files if Path(file).name.startswith(stem)), default=name)
    return name


def check_rate(settings: OpusSettings, channels: int) -> None:
    """Raise `InputError` for a rate that libopus would not code at, but clamp."""
    low, high = (bound * channels for bound in BITRATE_PER_CHANNEL_BPS)
    if not low <= settings.bitrate_bps <= high:
        raise InputError(
            f"Opus at {settings.bitrate_bps} bit/s; possible with {channels} channels are {low} to {high}"
        )


def encode(scene: Scene, settings: OpusSettings = PAPER) -> bytes:
    """Encode a scene to an Ogg Opus file.

    A scene at another rate than 48 kHz is resampled first (soxr, VHQ). Opus keeps nothing above 20 kHz.
    Equal scenes and settings give equal files with one version of libopus.

    Raises
    ------
    InputError
        If libopus is missing or has no encoder for this order (family 3: orders 1 to 3), if the rate is
        out of its range, if the scene is empty.
    """
    samples = scene.samples
    blocks = (samples[:, begin : begin + BLOCK_SAMPLES] for begin in range(0, scene.length, BLOCK_SAMPLES))
    return b"".join(encode_blocks(blocks, len(samples), scene.length, scene.sample_rate_hz, settings))


def encode_blocks(
    blocks: Iterable[Float32[ndarray, "acn time"]],
    channels: int,
    length: int,
    sample_rate_hz: int,
    settings: OpusSettings = PAPER,
) -> Iterator[bytes]:
    """Encode a scene that comes block by block, `length` samples in all; yield the pages of the file."""
    check_rate(settings, channels)
    if not length:
        raise InputError("an empty scene cannot be encoded")
    controls = [
        (libopus.SET_BITRATE, settings.bitrate_bps),
        (libopus.SET_VBR, int(settings.vbr)),
        (libopus.SET_COMPLEXITY, settings.complexity),
        (libopus.SET_SIGNAL, libopus.SIGNAL_MUSIC if settings.signal == "music" else libopus.AUTO),
    ]
    if settings.family == 2:
        controls.append((libopus.SET_BANDWIDTH, libopus.BANDWIDTH_FULLBAND))
    with libopus.Encoder(channels, settings.family, controls) as encoder:
        head = encoder.head(sample_rate_hz)
        tags = OpusTags(libopus.version(), ("ENCODER=hoa-rvqgan", f"ENCODER_OPTIONS={settings}"))
        length_48k = resampled_length(length, sample_rate_hz, SAMPLE_RATE_HZ)
        at_48k = resampled(blocks, channels, sample_rate_hz, SAMPLE_RATE_HZ, length_48k)
        packets = map(encoder.encode, framed(at_48k, channels, libopus.FRAME_SAMPLES, tail=head.pre_skip))
        yield from ogg_opus.write(head, tags, packets, length_48k)


def coded_peak(samples: Float32[ndarray, "acn time"], settings: OpusSettings = PAPER) -> float:
    """Return the highest absolute sample of the channels that are coded; above 1 the speech modes clip.

    Family 3 mixes first: a plane wave of third order is up to 4.6 dB higher in a mixture than in W.
    """
    if settings.family == 3:
        samples = mixing_matrix(len(samples)) @ samples
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))


def decode(ogg: bytes) -> Scene:
    """Decode an Ogg Opus file of family 2 or 3 to a scene at 48 kHz.

    Pre-skip, output gain and final granule position are obeyed: length and position are those of the scene
    that was encoded, to the sample in CELT mode. In SILK and hybrid mode libopus comes out 1.5 to 2
    samples early (1.3.1, by the phase of the cross-spectrum; the speech layer resamples with another delay).

    Raises
    ------
    InputError
        If the file is damaged, truncated, chained or multiplexed, or is not Ambisonics.
    """
    head, blocks = decode_blocks(io.BytesIO(ogg), "Opus stream")
    empty = np.zeros((head.channels, 0), np.float32)
    return Scene(np.concatenate([empty, *blocks], axis=1), SAMPLE_RATE_HZ)


def decode_blocks(
    file: BinaryIO, where: str, take_discrete: bool = False
) -> tuple[OpusHead, Iterator[Float32[ndarray, "acn time"]]]:
    """Read the header of an Ogg Opus file; the scene comes block by block, one page at a time, at 48 kHz.

    `where` names the file in messages; errors as `decode`. With `take_discrete` the channels of family 255, which
    have no meaning, are taken for ACN/SN3D.
    """
    families = (*AMBISONIC_FAMILIES, DISCRETE_FAMILY) if take_discrete else AMBISONIC_FAMILIES
    head, _, runs = ogg_opus.read(file, where, families)
    try:
        order_of(head.channels)
    except InputError as error:
        raise InputError(f"{where}: {error} (two more are a head-locked pair, which a scene can't hold)") from None
    return head, _decoded(head, runs, where)


def _decoded(head: OpusHead, runs: Iterable[ogg_opus.Run], where: str) -> Iterator[ndarray]:
    """Blocks of a scene, one for each page, without the pre-skip."""
    skip = head.pre_skip
    with libopus.Decoder(head) as decoder:
        for run in runs:
            if not run.packets:
                continue
            try:
                pcm = np.concatenate([decoder.decode(packet) for packet in run.packets])
            except libopus.OpusError as error:
                raise InputError(f"{where}: a packet of the page at byte {run.offset}: {error}") from None
            pcm = pcm[: run.length]
            yield np.ascontiguousarray(pcm[skip:].T)
            skip = max(0, skip - len(pcm))


def round_trip(scene: Scene, settings: OpusSettings = PAPER) -> tuple[Scene, bytes]:
    """Encode and decode; return the decoding at the rate and length of `scene`, and the Ogg Opus file."""
    ogg = encode(scene, settings)
    decoded = decode(ogg)
    channels, rate_hz = len(scene.samples), scene.sample_rate_hz
    back = resampled([decoded.samples], channels, SAMPLE_RATE_HZ, rate_hz, scene.length)
    return Scene(np.concatenate(list(back), axis=1), rate_hz), ogg


def decode_mono_streams(packets: Iterable[bytes], streams: int, where: str) -> Float32[ndarray, "time stream"]:
    """Decode packets of 20 ms that hold mono streams, at 48 kHz.

    Raises
    ------
    InputError
        If libopus finds a packet corrupted, or one has another duration; the message names `where`.
    """
    head = OpusHead(streams, 0, SAMPLE_RATE_HZ, 0, DISCRETE_FAMILY, streams, 0, bytes(range(streams)))
    parts = []
    with libopus.Decoder(head) as decoder:
        for number, packet in enumerate(packets):
            try:
                parts.append(decoder.decode(packet))
            except libopus.OpusError as error:
                raise InputError(f"{where}: Opus packet {number}: {error}") from None
            if len(parts[-1]) != libopus.FRAME_SAMPLES:
                raise InputError(
                    f"{where}: Opus packet {number} has {len(parts[-1])} samples, not {libopus.FRAME_SAMPLES}"
                )
    return np.concatenate(parts)


def framed(
    blocks: Iterable[Float32[ndarray, "channel time"]], channels: int, length: int, tail: int
) -> Iterator[Float32[ndarray, "time channel"]]:
    """Cut a signal and at least `tail` zeros after it into interleaved frames of `length` samples each."""
    rest = np.zeros((0, channels), np.float32)
    for block in blocks:
        rest = np.concatenate((rest, block.T))
        whole = len(rest) - len(rest) % length
        yield from rest[:whole].reshape(-1, length, channels)
        rest = rest[whole:]
    rest = np.pad(rest, ((0, tail + -(len(rest) + tail) % length), (0, 0)))
    yield from rest.reshape(-1, length, channels)
