"""A codec as one object for Python programs: scenes into streams or tokens, and back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from codec.bitstream.file import read_header, read_packets, write_stream
from codec.bitstream.format import ABSENT, Header, Packet
from codec.bitstream.rates import within_rate
from codec.checkpoints import model_file
from codec.coding.adaptation import Recording, adapted, length_at
from codec.coding.low_delay import write_low_delay
from codec.coding.pipeline import (
    check_codebooks,
    check_low_delay,
    check_model,
    decode_packets,
    encode_packets,
    low_delay_header,
    make_header,
    summarise,
)
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import whole_file
from render.dsp.block_processing import resampled
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene


@dataclass(frozen=True)
class Stream:
    """The bytes of an ``.arvq`` file, as ``python -m codec.encode`` writes it.

    Attributes
    ----------
    data : bytes
    changes : tuple of str
        What was done to the scene before it was coded, in words: resampled, cut to the order of the model.
    """

    data: bytes
    changes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path | str) -> Stream:
        """Read an ``.arvq`` file; one that is damaged raises `InputError`."""
        data = Path(path).read_bytes()
        read_header(io.BytesIO(data), str(path))
        return cls(data)

    def save(self, path: Path | str, force: bool = False) -> None:
        """Write an ``.arvq`` file; another file of that name is replaced only with `force`."""
        with whole_file(Path(path), force) as temporary:
            temporary.write_bytes(self.data)

    @cached_property
    def header(self) -> Header:
        """The fields of the header."""
        return read_header(io.BytesIO(self.data), "stream")

    @property
    def kbps(self) -> float:
        """Bit rate of the whole file in kbit/s, measured from its bytes."""
        return 8 * len(self.data) / (self.header.length / self.header.sample_rate_hz) / 1000

    def __repr__(self) -> str:
        header = self.header
        return f"Stream({len(self.data)} bytes, {self.kbps:.2f} kbit/s, {header.codebooks} codebooks)"


@dataclass(frozen=True, eq=False)
class Tokens:
    """The codes of a scene as a language model takes them, and what else it takes to decode them.

    Attributes
    ----------
    codes : int64 (codebook, frame)
        0 where `mask` is false.
    mask : bool (codebook, frame)
        Whether there is a code. At the end of each packet of 256 frames, the last codebooks give way to side
        information.
    header : Header
        Length, level and rate of the scene.
    side_info : tuple of bytes
        Levels and correlations of the channels in each packet; empty bytes for a model without side information.
    """

    codes: Int[Tensor, "codebook frame"]
    mask: Bool[Tensor, "codebook frame"]
    header: Header
    side_info: tuple[bytes, ...]

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second: 86.13 of the shipped model."""
        return self.header.sample_rate_hz / self.header.hop

    def with_codes(self, codes: Int[Tensor, "codebook frame"]) -> Tokens:
        """Return the same scene with other codes of all frames, of the first codebooks or of all.

        Raises
        ------
        InputError
            If the codes have more codebooks, other frames, or values that are none.
        """
        count, size = len(codes), 1 << self.header.bits_per_code
        if codes.ndim != 2 or not 1 <= count <= len(self.codes) or codes.shape[1] != self.codes.shape[1]:
            raise InputError(f"codes of shape {tuple(codes.shape)}; the scene has {tuple(self.codes.shape)}")
        if codes.is_floating_point() or codes.is_complex() or codes.min() < 0 or codes.max() >= size:
            raise InputError(f"codes must be integers from 0 to {size - 1}")
        mask = self.mask[:count]
        header = replace(self.header, codebooks=count)
        return Tokens(torch.where(mask, codes.long(), 0), mask, header, self.side_info)


class Model:
    """A trained codec, ready to run: `load` reads it.

    Its network is not accessible. Where a model has a front end, the network codes principal components of the
    channels, and with the channels themselves it would give something else than the codec, without an error.

    Parameters
    ----------
    network : RVQGAN
        In evaluation mode, with weight norm folded.
    digest : bytes
        First 8 bytes of the SHA-256 of the model file.

    Examples
    --------
    >>> import numpy as np
    >>> from render.hoa.scene import Scene
    >>> model = load()
    >>> noise = 0.05 * np.random.default_rng(0).standard_normal((24_000, 25))
    >>> stream = model.encode(Scene.from_array(noise, 48000, axes="time channel"), codebooks=4)
    >>> stream.changes
    ('kept the first 16 of 25 channels, order 3 of 4', 'resampled from 48000 to 44100 Hz')
    >>> decoded = model.decode(stream)
    >>> decoded.samples.shape, decoded.sample_rate_hz
    ((16, 24000), 48000)
    >>> tokens = model.tokens(stream)  # of its codebooks the fourth gave way to coefficients
    >>> tokens.codes.shape, tokens.codes.dtype, bool(tokens.mask.all())
    (torch.Size([4, 44]), torch.int64, False)
    >>> bool((model.decode(tokens).samples == decoded.samples).all())
    True
    """

    def __init__(self, network: RVQGAN, digest: bytes):
        self._network, self._digest = network, digest

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the model file; streams name their model by it."""
        return self._digest.hex()

    @property
    def config(self) -> ModelConfig:
        """Sizes of the network."""
        return self._network.config

    def __repr__(self) -> str:
        config = self.config
        return f"Model({self.digest}, {config.channels} channels, {config.sample_rate_hz} Hz)"

    def encode(
        self,
        signal: Scene | Feed,
        codebooks: int | None = None,
        kbps: float | None = None,
        range_coded: bool = False,
        low_delay: bool = False,
        coefficients: bool = True,
    ) -> Stream:
        """Encode a scene, or a feed with a model of its layout.

        A scene of another rate is resampled, and of a higher order the first channels are coded; the stream holds
        what it takes to undo the former, and says both in `Stream.changes`.

        Parameters
        ----------
        signal : Scene or Feed
        codebooks : int, optional
            Use the first ones only; all by default.
        kbps : float, optional
            Instead of `codebooks`: use as many as this rate allows, before range coding.
        range_coded : bool
            Compress the packets without loss.
        low_delay : bool
            Make the stream that `codec.encode --low-delay` makes of the same samples as they arrive.
        coefficients : bool
            Send attacks and the strongest components up to 4.6 kHz beside the codes (`codec.side_info`).
            Without them the codes of more codebooks have room.

        Raises
        ------
        InputError
            If the model cannot code the signal, or the rate cannot be reached; the message lists those that can.
        """
        if codebooks is not None and kbps is not None:
            raise InputError("give codebooks or kbps, not both")
        config = self.config
        named = signal.layout.name if isinstance(signal, Feed) else "ambiX"
        if named != config.signal_layout:
            raise InputError(
                f"signal: {named}, the model codes {config.signal_layout or 'channels without layout'}"
            )
        check_codebooks(config, codebooks)
        samples = signal.samples
        recording = Recording(len(samples), signal.sample_rate_hz, signal.length, lambda: iter([samples]))
        coded = adapted(recording, config, "signal")
        file, units = io.BytesIO(), None if coefficients else 0
        if low_delay:
            check_low_delay(config, range_coded)
            if signal.sample_rate_hz != config.sample_rate_hz:
                raise InputError(f"signal: {signal.sample_rate_hz} Hz; a stream of low delay is not resampled")
            header = low_delay_header(self._network, self._digest, codebooks, coded.origin.order, units)
            if kbps is not None:
                header = within_rate(header, kbps, "signal")
            write_low_delay(file, self._network, header, coded.read(), "signal")
            return Stream(file.getvalue(), coded.changes)
        summary = summarise(coded.read())
        header = make_header(self._network, self._digest, summary, codebooks, range_coded, coded.origin, units)
        if kbps is not None:
            header = within_rate(header, kbps, "signal")
        write_stream(file, header, encode_packets(self._network, header, coded.read()))
        return Stream(file.getvalue(), coded.changes)

    def decode(self, coded: Stream | Tokens, sample_rate_hz: int | None = None) -> Scene | Feed:
        """Decode a stream or tokens, with the level, rate and length of the scene that was encoded.

        Parameters
        ----------
        coded : Stream or Tokens
        sample_rate_hz : int, optional
            Another rate; with that of the model (`config`) nothing is resampled.

        Raises
        ------
        InputError
            If it was made by another model, or is damaged.
        """
        header = coded.header
        check_model(header, self._network, self._digest, "stream")
        packets = _packets_of_tokens(coded) if isinstance(coded, Tokens) else _packets_of_stream(coded)
        rate_hz = sample_rate_hz or header.original_rate_hz
        decoded = decode_packets(self._network, header, packets)
        parts = resampled(decoded, header.channels, header.sample_rate_hz, rate_hz, length_at(header, rate_hz))
        samples = np.concatenate(list(parts), axis=1)
        return (
            Scene(samples, rate_hz) if header.layout == "ambiX" else Feed(samples, rate_hz, layout(header.layout))
        )

    def tokens(self, signal: Scene | Feed | Stream, codebooks: int | None = None) -> Tokens:
        """Return the codes of a scene, or of a stream as it is.

        A scene is encoded with `codebooks` codebooks and without coefficients, so that its codes tell what it is.

        Raises
        ------
        InputError
            As `encode`, or if a stream was made by another model or is damaged.
        """
        stream = signal if isinstance(signal, Stream) else self.encode(signal, codebooks, coefficients=False)
        if codebooks not in (None, stream.header.codebooks):
            raise InputError(f"the stream has {stream.header.codebooks} codebooks, not {codebooks}")
        check_model(stream.header, self._network, self._digest, "stream")
        packets = list(_packets_of_stream(stream))
        codes = torch.from_numpy(np.concatenate([packet.codes for packet in packets], axis=1).astype(np.int64))
        mask = codes != ABSENT
        side_info = tuple(packet.side_info for packet in packets)
        return Tokens(torch.where(mask, codes, 0), mask, stream.header, side_info)


def _packets_of_stream(stream: Stream) -> Iterator[Packet]:
    return read_packets(io.BytesIO(stream.data), stream.header, "stream")


def _packets_of_tokens(tokens: Tokens) -> Iterable[Packet]:
    codes = torch.where(tokens.mask, tokens.codes, ABSENT).cpu().numpy()
    ends = np.cumsum(tokens.header.packet_frame_counts)
    parts = np.split(codes, ends[:-1], axis=1)
    return [Packet(part, side_info) for part, side_info in zip(parts, tokens.side_info, strict=True)]


def load(path: Path | str | None = None, device: str = "cpu") -> Model:
    """Read a model file, by default the shipped model of third-order Ambisonics at 44.1 kHz and 15.5 kbit/s.

    Parameters
    ----------
    path : Path, optional
    device : {"cpu", "cuda"}

    Raises
    ------
    InputError
        If the file is missing or damaged, or there is no such device.
    """
    return Model(*model_file.load(Path(path) if path else None, device, streamed=True))
