"""``pca_opus_<kbps>``: principal components in Opus streams, the classic way to code Ambisonics at low rates.

The principal components of the channels are computed every half second. The strongest ones are coded as mono Opus
streams at a constant rate, and their basis is sent as side information (8 bits for each coefficient). The decoder
maps the components back to the channels; whatever lies outside the subspace that they span is lost.

The file begins with a header of 40 bytes; all numbers are little-endian:

    0  4  magic "PCAO"            16  4  Opus packets
    4  1  version, 1              20  4  length in samples per channel
    5  1  channels                24  4  bytes of all packets, without their CRCs
    6  1  components              28  2  pre-skip in samples at 48 kHz
    7  1  zero                    30  2  samples at 48 kHz between two bases
    8  4  sample rate in Hz       32  4  zero
   12  4  bases                   36  4  CRC-32 of bytes 0..35

Next come the bases, each a matrix (components x channels) of int8 in units of 1/127 for N3D channels, and the
CRC-32 of all of them. Then come the packets, each followed by the low 8 bits of its CRC-32. The sizes of the
packets differ by one byte at most: packet i of P ends at byte floor((i + 1) B / P) of the B bytes of all packets.
The header therefore fixes the exact length of the file.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int8
from numpy import ndarray

from listening.conditions.alignment import OPUS_MAX_LAG, aligned
from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from listening.opus_codec import libopus
from listening.opus_codec.codec import decode_mono_streams, framed, version
from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length
from render.hoa.scene import Scene, order_of
from render.hoa.spherical_harmonics import sn3d_to_n3d

BASIS_S = 0.5
KBPS_PER_COMPONENT = 16
RATES_KBPS = (8, 256)
_SCALE = 127
_FIELDS = struct.Struct("<4sBBBBIIIIIHHI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size
_CHUNK_SAMPLES = 4096


@dataclass(frozen=True)
class Header:
    """Fields of the header; the module's docstring defines them.

    Attributes
    ----------
    channels, components, bases, packets : int
    sample_rate_hz : int
    length : int
        Samples per channel at `sample_rate_hz`.
    body_bytes : int
        Bytes of all packets, without their CRCs.
    pre_skip, step : int
        Samples at 48 kHz: delay of the Opus coder, distance between two bases.
    """

    channels: int
    components: int
    sample_rate_hz: int
    bases: int
    packets: int
    length: int
    body_bytes: int
    pre_skip: int
    step: int

    @property
    def total_bytes(self) -> int:
        """Exact size of the file."""
        bases = self.bases * self.components * self.channels + _CRC.size
        return HEADER_BYTES + bases + self.body_bytes + self.packets

    def packet_bytes(self, index: int) -> int:
        """Size of one packet, without its CRC."""
        return (index + 1) * self.body_bytes // self.packets - index * self.body_bytes // self.packets

    def pack(self) -> bytes:
        """Return the 40 bytes of the header."""
        fields = _FIELDS.pack(
            b"PCAO", 1, self.channels, self.components, 0, self.sample_rate_hz, self.bases, self.packets,
            self.length, self.body_bytes, self.pre_skip, self.step, 0,
        )  # fmt: skip
        return fields + _CRC.pack(zlib.crc32(fields))


def components(kbps: int) -> int:
    """Number of principal components that are coded at a rate: one for each 16 kbit/s, 1 to 16."""
    return min(max(kbps // KBPS_PER_COMPONENT, 1), 16)


def check_rate(kbps: int) -> None:
    """Raise `InputError` for a rate outside of `RATES_KBPS`."""
    low, high = RATES_KBPS
    if not low <= kbps <= high:
        raise InputError(f"PCA with Opus at {kbps} kbit/s; possible are {low} to {high}")


def encode(scene: Scene, kbps: int) -> bytes:
    """Encode a scene at a constant rate that includes everything: bases, packets, header and checksums.

    Raises
    ------
    InputError
        If libopus is missing, the rate is out of range, or the scene is so short that the side information leaves
        no room for packets.
    """
    check_rate(kbps)
    count, step = components(kbps), round(BASIS_S * SAMPLE_RATE_HZ)
    channels, rate_hz = len(scene.samples), scene.sample_rate_hz
    length = resampled_length(scene.length, rate_hz, SAMPLE_RATE_HZ)
    at_48k = np.concatenate(list(resampled([scene.samples], channels, rate_hz, SAMPLE_RATE_HZ, length)), axis=1)
    samples = at_48k * sn3d_to_n3d(scene.order)[:, None]
    bases = _bases(samples, count, step)
    strongest = _project(bases, samples, step)

    controls = [(libopus.SET_VBR, 0), (libopus.SET_COMPLEXITY, 10)]
    with libopus.Encoder(count, 255, controls) as encoder:
        pre_skip = encoder.head(rate_hz).pre_skip
        packets = -(-(length + pre_skip) // libopus.FRAME_SAMPLES)
        header = Header(channels, count, rate_hz, len(bases), packets, scene.length, 0, pre_skip, step)
        overhead = header.total_bytes
        header = replace(header, body_bytes=kbps * 1000 * scene.length // rate_hz // 8 - overhead)
        if header.body_bytes < 3 * count * packets:
            raise InputError(
                f"{scene.duration_s:.2f} s at {kbps} kbit/s leave no room for packets beside {overhead} bytes of "
                "header and side information"
            )
        frames = framed([strongest.astype(np.float32)], count, libopus.FRAME_SAMPLES, tail=pre_skip)
        coded = [encoder.encode(frame, header.packet_bytes(index)) for index, frame in enumerate(frames)]
    if [len(packet) for packet in coded] != [header.packet_bytes(index) for index in range(packets)]:
        raise RuntimeError("libopus did not keep its constant rate")
    raw = bases.tobytes()
    body = b"".join(packet + _crc8(packet) for packet in coded)
    return header.pack() + raw + _CRC.pack(zlib.crc32(raw)) + body


def decode(payload: bytes, where: str = "stream") -> Scene:
    """Decode a file of `encode` to a scene of the original rate and length.

    Raises
    ------
    InputError
        If the bytes are not such a file, or are damaged; the message names `where` and the byte offset.
    """
    header = parse_header(payload, where)
    offset = HEADER_BYTES
    raw = payload[offset : offset + header.bases * header.components * header.channels]
    offset += len(raw) + _CRC.size
    if _CRC.unpack_from(payload, offset - _CRC.size)[0] != zlib.crc32(raw):
        raise InputError(f"{where}: byte {HEADER_BYTES}: the bases are damaged (their CRC differs)")
    bases = np.frombuffer(raw, np.int8).reshape(header.bases, header.components, header.channels)
    pcm = decode_mono_streams(_packets(payload, header, offset, where), header.components, where)
    length = resampled_length(header.length, header.sample_rate_hz, SAMPLE_RATE_HZ)
    strongest = pcm.T[:, header.pre_skip : header.pre_skip + length]
    spread = _spread(bases, strongest, header.step) / sn3d_to_n3d(order_of(header.channels))[:, None]
    rate_hz = header.sample_rate_hz
    back = resampled([spread.astype(np.float32)], header.channels, SAMPLE_RATE_HZ, rate_hz, header.length)
    return Scene(np.concatenate(list(back), axis=1), rate_hz)


def _packets(payload: bytes, header: Header, offset: int, where: str) -> Iterator[bytes]:
    """Packets of a file from `offset` on; `InputError` at the first whose CRC differs."""
    for index in range(header.packets):
        packet = payload[offset : offset + header.packet_bytes(index)]
        if payload[offset + len(packet) : offset + len(packet) + 1] != _crc8(packet):
            raise InputError(f"{where}: the packet at byte {offset} is damaged (its CRC differs)")
        yield packet
        offset += len(packet) + 1


def _crc8(packet: bytes) -> bytes:
    return bytes([zlib.crc32(packet) & 0xFF])


def parse_header(payload: bytes, where: str) -> Header:
    """Read a header and check it against the size of the file, before any memory is allocated.

    Raises
    ------
    InputError
        If the header is damaged or impossible, or the file has another length than the header implies.
    """
    if len(payload) < HEADER_BYTES:
        raise InputError(f"{where}: {len(payload)} bytes, a header has {HEADER_BYTES}; the file is cut")
    fields = payload[: _FIELDS.size]
    magic, version, channels, count, zero, rate, bases, packets, length, *rest = _FIELDS.unpack(fields)
    body, skip, step, zeros = rest
    if magic != b"PCAO":
        raise InputError(f"{where}: begins with {magic!r} instead of b'PCAO'; is it the right file?")
    if _CRC.unpack_from(payload, _FIELDS.size)[0] != zlib.crc32(fields):
        raise InputError(f"{where}: the header is damaged (its CRC at byte {_FIELDS.size} differs)")
    header = Header(channels, count, rate, bases, packets, length, body, skip, step)
    length_48k = resampled_length(length, rate, SAMPLE_RATE_HZ) if rate else 0
    possible = (
        version == 1 and not zero and not zeros and 1 <= count <= channels and step and length_48k
        and math.isqrt(channels) ** 2 == channels <= 64 and 8000 <= rate <= 192_000
        and bases == -(-length_48k // step) + 1
        and packets == -(-(length_48k + skip) // libopus.FRAME_SAMPLES) <= body
    )  # fmt: skip
    if not possible:
        raise InputError(f"{where}: impossible header (version {version}, {count} of {channels} components)")
    if len(payload) != header.total_bytes:
        state = "cut" if len(payload) < header.total_bytes else "followed by other bytes"
        raise InputError(
            f"{where}: {len(payload)} bytes, its header says {header.total_bytes}; the file is {state}"
        )
    return header


# --------------------------------------------------------------------------------------------------- bases


def _bases(samples: Float64[ndarray, "acn time"], count: int, step: int) -> Int8[ndarray, "basis component acn"]:
    """Principal components around samples 0, step, 2 step, ...

    Each basis is permuted and signed to be as close as possible to the one before, so that a component goes on in
    the same Opus stream.
    """
    from scipy.optimize import linear_sum_assignment  # takes 0.1 s to import, which reading a plan saves

    bases: list[ndarray] = []
    for centre in range(0, samples.shape[1] + step, step):
        part = samples[:, max(centre - step, 0) : centre + step]
        covariance = part @ part.T
        covariance[np.diag_indices_from(covariance)] += 1e-9
        basis = np.linalg.eigh(covariance)[1][:, : -count - 1 : -1].T
        if bases:
            similarity = bases[-1].astype(float) @ basis.T
            _, order = linear_sum_assignment(-np.abs(similarity))
            basis = basis[order] * np.where(similarity[np.arange(count), order] < 0, -1, 1)[:, None]
        else:
            basis = basis * np.where(basis[:, :1] < 0, -1, 1)  # W has a positive sign
        bases.append(np.round(_SCALE * basis).astype(np.int8))
    return np.stack(bases)


def _interpolated(bases: Int8[ndarray, "basis component acn"], begin: int, end: int, step: int) -> ndarray:
    """Basis (time, component, acn) at every sample from `begin` to `end`, interpolated; its rows have norm 1."""
    position = np.arange(begin, end) / step
    index = position.astype(int)
    weight = (position - index)[:, None, None]
    values = bases.astype(np.float64)
    following = values[np.minimum(index + 1, len(bases) - 1)]
    basis = (1 - weight) * values[index] + weight * following
    return basis / np.maximum(np.linalg.norm(basis, axis=2, keepdims=True), 1e-9)


def _project(bases: Int8[ndarray, "basis component acn"], samples: ndarray, step: int) -> ndarray:
    """Components (component, time) of a signal (acn, time)."""
    return _apply("tka,at->kt", bases, samples, step, bases.shape[1])


def _spread(bases: Int8[ndarray, "basis component acn"], strongest: ndarray, step: int) -> ndarray:
    """Signal (acn, time) of its components (component, time): the inverse of `_project` on their subspace."""
    return _apply("tka,kt->at", bases, strongest, step, bases.shape[2])


def _apply(product: str, bases: Int8[ndarray, "basis component acn"], signal: ndarray, step: int, rows: int):
    """Contract a signal with the interpolated basis, chunk by chunk; `product` is the rule for `numpy.einsum`."""
    result = np.empty((rows, signal.shape[1]))
    for begin in range(0, signal.shape[1], _CHUNK_SAMPLES):
        part = signal[:, begin : begin + _CHUNK_SAMPLES]
        basis = _interpolated(bases, begin, begin + part.shape[1], step)
        result[:, begin : begin + _CHUNK_SAMPLES] = np.einsum(product, basis, part)
    return result


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that codes a scene at the rate in the id.

    Raises
    ------
    InputError
        If libopus is missing or the rate is out of range.
    """
    kbps = condition_id.number or 0
    check_rate(kbps)
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: _rendition(scene, kbps),
        {"kbps": kbps, "components": components(kbps), "libopus": version()},
        ExpectedProperties(constant_kbps=kbps, is_codec=True, may_silence_channels=True),
    )


def _rendition(scene: Scene, kbps: int) -> Rendition:
    payload = encode(scene, kbps)
    shifted, lag = aligned(scene, decode(payload), OPUS_MAX_LAG)
    return Rendition(shifted, payload, ".pcao", {"lag_compensated_samples": lag})


KIND = ConditionKind(create, (IdForm("pca_opus_<kbps>", range(1, 1000), 64),), needs_libopus=True)
