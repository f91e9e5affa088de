"""Opus for Ambisonics: encode a scene to an Ogg Opus file, decode or inspect one.

Channel mapping family 3 (RFC 8486) codes fixed mixtures of the Ambisonic channels as stereo pairs; at
160 kbit/s it is the paper's condition. Few programs decode it: this one gives back an ambiX file at 48 kHz,
aligned to the sample with what was encoded. `inspect` tells the real bit rate and the coding modes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from listening import ogg_opus
from listening.ogg_opus import SAMPLE_RATE_HZ, OpusHead, OpusTags
from listening.opus_info import inspect, inspect_file
from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

    from render.scene import Scene

__all__ = [
    "PAPER",
    "OpusSettings",
    "check_rate",
    "coded_peak",
    "decode",
    "decode_blocks",
    "encode",
    "encode_blocks",
    "inspect",
    "inspect_file",
    "library_path",
    "round_trip",
    "version",
]

BLOCK_FRAMES = 65_536
BITRATE_PER_CHANNEL_BPS = (500, 300_000)  # beyond these libopus clamps without a word


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
    from listening import libopus

    return libopus.version()


def library_path() -> str:
    """Path of the file that this libopus was loaded from, or its name where the system does not tell."""
    from listening import libopus

    name = libopus.library()._name
    maps = Path("/proc/self/maps")
    if maps.is_file():  # Linux
        stem = Path(name).name.split(".")[0]
        files = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines() if stem in line}
        name = min((file for file in files if Path(file).name.startswith(stem)), default=name)
    return name


# ----------------------------------------------------------------------------------------------- encoding


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
    blocks = (samples[:, begin : begin + BLOCK_FRAMES] for begin in range(0, scene.frames, BLOCK_FRAMES))
    return b"".join(encode_blocks(blocks, len(samples), scene.frames, scene.sample_rate_hz, settings))


def encode_blocks(
    blocks: Iterable[Float32[ndarray, "acn time"]],
    channels: int,
    frames: int,
    sample_rate_hz: int,
    settings: OpusSettings = PAPER,
) -> Iterator[bytes]:
    """Encode a scene that comes block by block, `frames` samples in all; yield the file's pages."""
    from listening import libopus
    from listening.blocks import framed
    from render.stream import resampled, resampled_length

    check_rate(settings, channels)
    if not frames:
        raise InputError("a scene of no samples can't be encoded")
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
        frames_at_48k = resampled_length(frames, sample_rate_hz, SAMPLE_RATE_HZ)
        at_48k = resampled(blocks, channels, sample_rate_hz, SAMPLE_RATE_HZ, frames_at_48k)
        packets = map(encoder.encode, framed(at_48k, channels, libopus.FRAME_SAMPLES, tail=head.pre_skip))
        yield from ogg_opus.write(head, tags, packets, frames_at_48k)


def coded_peak(samples: Float32[ndarray, "acn time"], settings: OpusSettings = PAPER) -> float:
    """Return the highest absolute sample of the channels that are coded; above 1 the speech modes clip.

    Family 3 mixes first: a plane wave of third order is up to 4.6 dB higher in a mixture than in W.
    """
    if settings.family == 3:
        from listening.libopus import mixing_matrix

        samples = mixing_matrix(len(samples)) @ samples
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))


# ----------------------------------------------------------------------------------------------- decoding


def decode(ogg: bytes) -> Scene:
    """Decode an Ogg Opus file of family 2 or 3 to a scene at 48 kHz.

    Pre-skip, output gain and final granule position are obeyed: length and position are those of the scene
    that was encoded, to the sample in CELT mode. In SILK and hybrid mode libopus comes out 1.5 to 2
    samples early (1.3.1, by the phase of the cross-spectrum; the speech layer resamples with another delay).

    Raises
    ------
    InputError
        If the file is damaged, truncated, chained or multiplexed, or is no Ambisonics.
    """
    import numpy as np

    from render.scene import Scene

    head, blocks = decode_blocks(io.BytesIO(ogg), "Opus stream")
    empty = np.zeros((head.channels, 0), np.float32)
    return Scene(np.concatenate([empty, *blocks], axis=1), SAMPLE_RATE_HZ)


def decode_blocks(file: BinaryIO, where: str) -> tuple[OpusHead, Iterator[Float32[ndarray, "acn time"]]]:
    """Read the header of an Ogg Opus file; the scene comes block by block, one page at a time, at 48 kHz.

    `where` names the file in messages; errors as `decode`.
    """
    from render.scene import order_of

    head, _, runs = ogg_opus.read(file, where)
    try:
        order_of(head.channels)
    except InputError as error:
        raise InputError(f"{where}: {error} (two more are a head-locked pair, which a scene can't hold)") from None
    return head, _decoded(head, runs, where)


def _decoded(head: OpusHead, runs: Iterable[ogg_opus.Run], where: str) -> Iterator[ndarray]:
    import numpy as np

    from listening import libopus

    skip = head.pre_skip
    with libopus.Decoder(head) as decoder:
        for run in runs:
            if not run.packets:
                continue
            try:
                pcm = np.concatenate([decoder.decode(packet) for packet in run.packets])
            except libopus.OpusError as error:
                raise InputError(f"{where}: a packet of the page at byte {run.offset}: {error}") from None
            pcm = pcm[: run.frames]
            yield np.ascontiguousarray(pcm[skip:].T)
            skip = max(0, skip - len(pcm))


def round_trip(scene: Scene, settings: OpusSettings = PAPER) -> tuple[Scene, bytes]:
    """Encode and decode; return the decoding at the rate and length of `scene`, and the Ogg Opus file."""
    import numpy as np

    from render.scene import Scene
    from render.stream import resampled

    ogg = encode(scene, settings)
    decoded = decode(ogg)
    channels, rate_hz = len(scene.samples), scene.sample_rate_hz
    back = resampled([decoded.samples], channels, SAMPLE_RATE_HZ, rate_hz, scene.frames)
    return Scene(np.concatenate(list(back), axis=1), rate_hz), ogg


# ------------------------------------------------------------------------------------------- command line


def main() -> None:
    """Run ``python -m listening.opus``."""
    command = parser(__doc__, "listening.opus")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="encode | decode | inspect")
    encoding = verbs.add_parser("encode", help="ambiX file (ACN/SN3D, orders 1 to 3) to Ogg Opus, family 3")
    encoding.add_argument("--kbps", type=int, default=PAPER.bitrate_bps // 1000, help="nominal (%(default)s)")
    encoding.add_argument("--music", action="store_true", help="ask for libopus's music mode")
    decoding = verbs.add_parser("decode", help="Ogg Opus of family 2 or 3 to an ambiX file, 48 kHz, float")
    inspecting = verbs.add_parser("inspect", help="print channels, measured rates and coding modes")
    for verb, what in ((encoding, "audio file"), (decoding, "Ogg Opus file"), (inspecting, "Ogg Opus file")):
        verb.add_argument("input", type=Path, metavar="IN", help=what)
    for verb in (encoding, decoding):
        verb.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="file to write")
        verb.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments = command.parse_args()
    if arguments.verb == "encode":
        signal = "music" if arguments.music else "auto"
        settings = OpusSettings(bitrate_bps=1000 * arguments.kbps, signal=signal)
        _encode_file(arguments.input, arguments.output, settings, arguments.force)
    elif arguments.verb == "decode":
        _decode_file(arguments.input, arguments.output, arguments.force)
    else:
        _inspect_file(arguments.input)


def _inspect_file(path: Path) -> None:
    """Print what stands in a file; with libopus also how high its coded channels reach."""
    with open(path, "rb") as file:
        print(inspect_file(file, str(path)))
        try:
            version()
        except InputError:
            print("beam peak: not measured, it needs libopus")
            return
        file.seek(0)
        head, blocks = decode_blocks(file, str(path))
        settings = OpusSettings(family=head.family)
        peak = max((coded_peak(block, settings) for block in blocks), default=0.0)
    above = "" if peak <= 1 else "; above 1 the speech modes may have clipped"
    what = "mixtures" if head.family == 3 else "channels"
    print(f"beam peak: {peak:.3f} of full scale in the decoded {what}{above}")


def _encode_file(path: Path, output: Path, settings: OpusSettings, force: bool) -> None:
    from render import audio_file
    from render.artefact import whole_file
    from render.scene import order_of

    about = audio_file.info(path)
    try:
        order_of(about.channels)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    peak = 0.0

    def measured() -> Iterator[ndarray]:
        nonlocal peak
        for block in audio_file.blocks(path, block_frames=BLOCK_FRAMES):
            peak = max(peak, coded_peak(block, settings))
            yield block

    with whole_file(output, force=force) as temporary, open(temporary, "wb") as file:
        rate_hz = about.sample_rate_hz
        file.writelines(encode_blocks(measured(), about.channels, about.frames, rate_hz, settings))
    if peak > 1:
        print(
            f"warning: {path}: reaches {peak:.2f} in the coded channels; above 1 Opus may clip",
            file=sys.stderr,
        )


def _decode_file(path: Path, output: Path, force: bool) -> None:
    from render.audio_file import writer

    with open(path, "rb") as file:
        head, blocks = decode_blocks(file, str(path))
        with writer(output, head.channels, SAMPLE_RATE_HZ, "FLOAT", force) as sound:
            for block in blocks:
                sound.write(block)


if __name__ == "__main__":
    run(main)
