"""Encode and decode streams of any length in constant memory.

The signal is cut on a grid anchored at its first sample; every block is computed with as many frames of
context as the network can see, and the context is thrown away again. So the result depends on the
signal alone, not on how it was cut into pieces on its way here, and equals one pass over the whole.
"""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from numpy import ndarray

from codec import spatial, timbre
from codec.bitstream import PACKET_FRAMES, Header, Packet, read_stream, write_stream
from codec.model import Codec, contextual_frames
from render.errors import InputError
from render.scene import Scene

LEVEL_DBFS = -24.0  # rms of channel 0 at the encoder's input, as in training


def overlapping_blocks(
    parts: Iterable[Shaped[ndarray, "row column"]], block: int, context: int
) -> Iterator[tuple[Shaped[ndarray, "row column"], int, int]]:
    """Re-cut a stream into blocks of `block` columns (the last may be shorter) with `context` on each side.

    Yields the columns of a block with its context, how many columns of context come before, and the
    number of columns of the block itself. At the ends of the stream there is less context.
    """
    buffer, before, exhausted = None, 0, False
    iterator = iter(parts)
    while True:
        while not exhausted and (buffer is None or buffer.shape[1] < before + block + context):
            part = next(iterator, None)
            if part is None:
                exhausted = True
            else:
                buffer = part if buffer is None else np.concatenate([buffer, part], axis=1)
        if buffer is None or buffer.shape[1] == before:
            return
        length = min(block, buffer.shape[1] - before)
        yield buffer[:, : before + length + context], before, length
        keep_from = max(0, before + length - context)
        before = before + length - keep_from
        buffer = buffer[:, keep_from:]


def padded_to_hop(parts: Iterable[Float32[ndarray, "channel time"]], hop: int):
    """Append zeros until the number of samples is a multiple of the hop."""
    total = channels = 0
    for part in parts:
        channels, time = part.shape
        total += time
        yield part
    if total % hop:
        yield np.zeros((channels, hop - total % hop), np.float32)


@torch.inference_mode()
def encode_blocks(
    model: Codec, parts: Iterable[Float32[ndarray, "channel time"]], gain: float, codebooks: int
) -> Iterator[Packet]:
    """Packets of a stream of samples."""
    hop, (context, _) = model.config.hop, contextual_frames(model.config)
    blocks = overlapping_blocks(padded_to_hop(parts, hop), PACKET_FRAMES * hop, context * hop)
    for samples, before, length in blocks:
        samples = samples * np.float32(gain)
        latents = model.encoder(torch.from_numpy(samples)[None])
        latents = latents[:, :, before // hop : (before + length) // hop]
        codes = model.quantizer.encode(latents, codebooks)[0].numpy()
        packet = samples[:, before : before + length]
        yield Packet(codes, spatial.measure(packet), timbre.measure(packet, model.config.sample_rate_hz))


@torch.inference_mode()
def decode_blocks(
    model: Codec, packets: Iterable[Packet], gain: float, length: int
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Samples of a stream of packets, cut to `length` in all."""
    hop, (_, context) = model.config.hop, contextual_frames(model.config)
    context += -(-(timbre.REACH + spatial.REACH) // hop)
    arrived: deque[Packet] = deque()

    def codes() -> Iterator[ndarray]:
        for packet in packets:
            arrived.append(packet)
            yield packet.codes

    equaliser = timbre.Equaliser(model.config.sample_rate_hz)
    restorer = spatial.Restorer(model.config.sample_rate_hz)
    left = length
    for block, before, frames in overlapping_blocks(codes(), PACKET_FRAMES, context):
        latents = model.quantizer.decode(torch.from_numpy(np.ascontiguousarray(block))[None])
        decoded = model.decoder(latents)[0].numpy()
        packet = arrived.popleft()
        samples = equaliser.restore(decoded, before * hop, frames * hop, packet.timbre)
        samples = restorer.restore(samples, before * hop, frames * hop, packet.spatial)
        samples = samples[:, : min(left, samples.shape[1])] / np.float32(gain)
        left -= samples.shape[1]
        yield np.ascontiguousarray(samples)


def level_gain_q8_db(rms: float) -> int:
    """Gain in 1/256 dB that brings a signal of this rms in channel 0 to `LEVEL_DBFS`; 0 for silence."""
    if rms < 1e-7:
        return 0
    gain_db = LEVEL_DBFS - 20 * math.log10(rms)
    return round(256 * max(-127.0, min(127.0, gain_db)))


def make_header(
    model: Codec, digest: bytes, sample_rate_hz: int, channels: int, length: int, rms: float,
    codebooks: int | None, where: str,
) -> Header:  # fmt: skip
    """Header of a stream to be encoded; a signal that the model cannot take raises `InputError`."""
    config = model.config
    if channels != config.channels:
        raise InputError(f"{where}: {channels} channels, the model codes {config.channels}")
    if sample_rate_hz != config.sample_rate_hz:
        raise InputError(
            f"{where}: {sample_rate_hz} Hz, the model codes {config.sample_rate_hz} Hz; "
            "python -m stimuli.prepare resamples"
        )
    if length == 0:
        raise InputError(f"{where}: no samples")
    codebooks = codebooks or config.codebooks
    if not 1 <= codebooks <= config.codebooks:
        raise InputError(f"{codebooks} codebooks; the model has 1 to {config.codebooks}")
    return Header(
        digest,
        sample_rate_hz,
        channels,
        codebooks,
        config.bits_per_code,
        config.hop,
        level_gain_q8_db(rms),
        length,
    )


def check_model(header: Header, model: Codec, digest: bytes, where: str) -> None:
    """Raise `InputError` if a stream was not made by this model."""
    if header.model != digest:
        raise InputError(
            f"{where}: coded with the model whose SHA-256 begins with {header.model.hex()}, "
            f"not with this one ({digest.hex()}); give the right one with --model"
        )
    config = model.config
    told = (header.sample_rate_hz, header.channels, header.hop, header.bits_per_code)
    if told != (config.sample_rate_hz, config.channels, config.hop, config.bits_per_code):
        raise InputError(f"{where}: header contradicts its model; the file was tampered with")
    if header.codebooks > config.codebooks:
        raise InputError(f"{where}: {header.codebooks} codebooks, its model has {config.codebooks}")


def encode(model: Codec, digest: bytes, scene: Scene, codebooks: int | None = None) -> bytes:
    """Encode a scene into the bytes of an ``.arvq`` file."""
    samples = scene.samples
    rms = float(np.sqrt(np.square(samples[0], dtype=np.float64).mean()))
    header = make_header(
        model, digest, scene.sample_rate_hz, samples.shape[0], scene.frames, rms, codebooks, "scene"
    )
    file = io.BytesIO()
    write_stream(file, header, encode_blocks(model, [samples], header.gain, header.codebooks))
    return file.getvalue()


def decode(model: Codec, digest: bytes, data: bytes) -> Scene:
    """Decode the bytes of an ``.arvq`` file."""
    header, blocks = read_stream(io.BytesIO(data), "stream")
    check_model(header, model, digest, "stream")
    parts = list(decode_blocks(model, blocks, header.gain, header.length))
    return Scene(np.concatenate(parts, axis=1), header.sample_rate_hz)
