"""``dirac_opus_<kbps>``: first-order Directional Audio Coding with Opus, the classic way at low rates.

The encoder sends W through one Opus stream at a constant rate, and beside it a direction and a diffuseness for
every band and 46 ms (Pulkki 2007; the same scheme at other settings is that of the low rates of 3GPP IVAS). The
decoder makes a scene of third order of them: the direct part of W as a plane wave from the direction, the diffuse
part decorrelated for every channel. Orders above the first are not analysed.

The side information is the tiles in the order of time, in each of them the bands from low to high: 8 bits for the
point of a Fibonacci grid of 256 directions that is next to the direction of arrival, 3 bits for 7 times the
diffuseness, rounded; the last byte is filled with zeros. `listening.conditions.parametric_file` has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32, Float64, Int
from numpy import ndarray

from listening.conditions.alignment import OPUS_MAX_LAG, aligned
from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from listening.conditions.parametric_file import OVERHEAD_BYTES, ParametricFile, parse, with_opus
from listening.opus_codec.codec import version
from render.common.errors import InputError
from render.dsp.erb import erb_edges_hz
from render.hoa.scene import Scene, order_of
from render.hoa.spherical_harmonics import acn_orders, fibonacci_sphere, spherical_harmonics, unit_vectors

MAGIC = b"DROP"
RATES_KBPS = (10, 128)
WINDOW, HOP = 1024, 512
TILE_FRAMES = 4
"""Frames of the STFT that share their parameters: 46 ms at 44.1 kHz."""
BANDS = 12
DIRECTION_BITS, DIFFUSENESS_BITS = 8, 3
DECORRELATOR_SAMPLES, DECORRELATOR_DECAY = 4096, 1024.0
"""Length and decay of the filters: shorter ones leave narrow bands coherent."""
SEED = 1
_STEPS = 2**DIFFUSENESS_BITS - 1


def encode(scene: Scene, kbps: int) -> bytes:
    """Encode a scene of first order or higher at a constant rate that includes everything.

    Raises
    ------
    InputError
        If libopus is missing, or the scene is so short that the parameters leave no room for Opus.
    """
    rate_hz = scene.sample_rate_hz
    direction, diffuseness = analysed(scene)
    side_info = pack_parameters(_nearest(direction), np.round(_STEPS * diffuseness).astype(np.int64))
    total = kbps * 1000 * scene.length // rate_hz // 8 - OVERHEAD_BYTES - len(side_info)
    about = ParametricFile(len(scene.samples), rate_hz, scene.length, 0, side_info)
    return with_opus(about, np.ascontiguousarray(scene.samples[:1]), total).pack(MAGIC)


def decode(payload: bytes, where: str = "stream") -> Scene:
    """Decode a file of `encode` to a scene of the order of the original.

    Raises
    ------
    InputError
        If the bytes are not such a file, or are damaged.
    """
    file = parse(payload, MAGIC, where)
    tiles = tile_count(file.length)
    expected = -(-tiles * BANDS * (DIRECTION_BITS + DIFFUSENESS_BITS) // 8)
    if file.streams != 1 or len(file.side_info) != expected:
        raise InputError(f"{where}: {len(file.side_info)} bytes of side information, not {expected}")
    direction, steps = unpack_parameters(file.side_info, tiles)
    return synthesised(
        file.decoded(where)[0], direction, steps / _STEPS, order_of(file.channels), file.sample_rate_hz
    )


# ------------------------------------------------------------------------------------------------ parameters


def tile_count(length: int) -> int:
    """Number of tiles of a signal of `length` samples."""
    return -(-_frame_count(length) // TILE_FRAMES)


def _frame_count(length: int) -> int:
    return -(-length // HOP) + 1


def pack_parameters(direction: Int[ndarray, "tile band"], diffuseness: Int[ndarray, "tile band"]) -> bytes:
    """Return the bytes of quantised parameters: grid points and steps of diffuseness."""
    numbers = (direction << DIFFUSENESS_BITS | diffuseness).ravel()
    width = DIRECTION_BITS + DIFFUSENESS_BITS
    bits = numbers[:, None] >> np.arange(width - 1, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def unpack_parameters(data: bytes, tiles: int) -> tuple[Int[ndarray, "tile band"], Int[ndarray, "tile band"]]:
    """Inverse of `pack_parameters`."""
    width = DIRECTION_BITS + DIFFUSENESS_BITS
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=tiles * BANDS * width).reshape(tiles, BANDS, width)
    numbers = bits.astype(np.int64) @ (1 << np.arange(width - 1, -1, -1))
    return numbers >> DIFFUSENESS_BITS, numbers & _STEPS


@cache
def _grid() -> tuple[ndarray, ndarray]:
    """Azimuths and elevations of the directions."""
    return fibonacci_sphere(2**DIRECTION_BITS)


def _nearest(direction: Float64[ndarray, "tile band 3"]) -> Int[ndarray, "tile band"]:
    return (direction @ unit_vectors(*_grid()).T).argmax(axis=-1)


def band_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bin of each band and the end of the last; equally wide in ERB rate up to half the sample rate."""
    edges = np.round(erb_edges_hz(0.0, sample_rate_hz / 2, BANDS) / sample_rate_hz * WINDOW).astype(int)
    edges[-1] = WINDOW // 2 + 1
    return edges


def analysed(scene: Scene) -> tuple[Float64[ndarray, "tile band 3"], Float64[ndarray, "tile band"]]:
    """Return the direction of arrival and the diffuseness in every tile and band.

    With I = Re{W* [X Y Z]} and E = (|W|² + |X|² + |Y|² + |Z|²) / 2 summed over the tile and the band, the
    direction is that of I and the diffuseness 1 - |I| / E; 1 where E is 0.
    """
    spectra = _spectra(scene.samples[:4])
    tiles = tile_count(scene.length)
    spectra = np.pad(spectra, ((0, 0), (0, tiles * TILE_FRAMES - spectra.shape[1]), (0, 0)))
    intensity = (spectra[0].conj() * spectra[[3, 1, 2]]).real.astype(np.float64)
    energy = 0.5 * np.square(np.abs(spectra)).sum(axis=0, dtype=np.float64)
    edges = band_edges(scene.sample_rate_hz)[:-1]

    def summed(values: ndarray) -> ndarray:
        in_bands = np.add.reduceat(values, edges, axis=-1)
        return in_bands.reshape(*in_bands.shape[:-2], tiles, TILE_FRAMES, BANDS).sum(axis=-2)

    vector, total = np.moveaxis(summed(intensity), 0, -1), summed(energy)
    length = np.linalg.norm(vector, axis=-1)
    diffuseness = np.clip(1 - np.divide(length, total, where=total > 0, out=np.zeros_like(total)), 0, 1)
    return np.divide(
        vector, length[..., None], where=length[..., None] > 0, out=np.zeros_like(vector)
    ), diffuseness


# ------------------------------------------------------------------------------------------------- synthesis


def _window() -> Float32[ndarray, " time"]:
    return np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW).astype(np.float32)


def _spectra(samples: Float32[ndarray, "channel time"]) -> Complex64[ndarray, "channel frame bin"]:
    """Spectra of frames that begin `HOP` before the signal; sine windows, whose squares add up to 1."""
    frames = _frame_count(samples.shape[1])
    padded = np.pad(samples, ((0, 0), (HOP, frames * HOP - samples.shape[1])))
    views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP][:, :frames]
    return scipy.fft.rfft(views * _window(), axis=2)


def _signal(spectra: Complex64[ndarray, "frame bin"], length: int) -> Float32[ndarray, " time"]:
    """Inverse of `_spectra` of one channel, by overlap and add."""
    halves = (scipy.fft.irfft(spectra, WINDOW, axis=1) * _window()).reshape(len(spectra), 2, HOP)
    result = np.zeros((len(spectra) + 1, HOP), np.float32)
    result[:-1] += halves[:, 0]
    result[1:] += halves[:, 1]
    return result.ravel()[HOP : HOP + length]


@cache
def decorrelators(channels: int) -> Float64[ndarray, "acn time"]:
    """Filters of flat magnitude that make a signal incoherent with itself: decaying noise, by 60 dB in 0.16 s."""
    random = np.random.Generator(np.random.Philox(key=SEED))
    decay = np.exp(-np.arange(DECORRELATOR_SAMPLES) / DECORRELATOR_DECAY)
    spectra = np.fft.rfft(random.standard_normal((channels, DECORRELATOR_SAMPLES)) * decay)
    return np.fft.irfft(spectra / np.abs(spectra), DECORRELATOR_SAMPLES)


def synthesised(
    w: Float32[ndarray, " time"],
    direction: Int[ndarray, "tile band"],
    diffuseness: Float64[ndarray, "tile band"],
    order: int,
    sample_rate_hz: int,
) -> Scene:
    """Make a scene of W and the parameters.

    Channel c is √(1-ψ) Y_c w + √(ψ / (2n+1)) d_c with a decorrelated version d_c of w; W is w. Both gains are
    interpolated over time between the middles of the tiles.
    """
    from scipy.signal import oaconvolve  # takes 0.4 s to import, which reading a plan saves

    orders = acn_orders(order)
    azimuth, elevation = _grid()
    waves = spherical_harmonics(order, azimuth, elevation)[direction]  # (tile, band, acn)
    direct = np.sqrt(1 - diffuseness)[..., None] * waves
    diffuse = np.sqrt(diffuseness[..., None] / (2 * orders + 1))
    frames = _frame_count(len(w))
    widths = np.diff(band_edges(sample_rate_hz))
    own = _spectra(w[None])[0]
    filters = decorrelators(len(orders))
    result = np.empty((len(orders), len(w)), np.float32)
    result[0] = w
    for channel in range(1, len(orders)):
        other = oaconvolve(w, filters[channel])[: len(w)].astype(np.float32)
        gains = (_interpolated(of[..., channel], frames) for of in (direct, diffuse))
        per_bin = [np.repeat(gain, widths, axis=1).astype(np.float32) for gain in gains]
        result[channel] = _signal(per_bin[0] * own + per_bin[1] * _spectra(other[None])[0], len(w))
    return Scene(result, sample_rate_hz)


def _interpolated(values: Float64[ndarray, "tile band"], frames: int) -> Float64[ndarray, "frame band"]:
    position = np.clip((np.arange(frames) - (TILE_FRAMES - 1) / 2) / TILE_FRAMES, 0, len(values) - 1)
    before = position.astype(int)
    share = (position - before)[:, None]
    return (1 - share) * values[before] + share * values[np.minimum(before + 1, len(values) - 1)]


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that codes a scene at the rate in the id.

    Raises
    ------
    InputError
        If libopus is missing or the rate is out of range.
    """
    kbps = condition_id.number or 0
    low, high = RATES_KBPS
    if not low <= kbps <= high:
        raise InputError(f"DirAC with Opus at {kbps} kbit/s; possible are {low} to {high}")
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: _rendition(scene, kbps),
        {"kbps": kbps, "bands": BANDS, "seed": SEED, "libopus": version()},
        ExpectedProperties(constant_kbps=kbps, is_codec=True),
    )


def _rendition(scene: Scene, kbps: int) -> Rendition:
    payload = encode(scene, kbps)
    shifted, lag = aligned(scene, decode(payload), OPUS_MAX_LAG)
    return Rendition(shifted, payload, ".drop", {"lag_compensated_samples": lag})


KIND = ConditionKind(create, (IdForm("dirac_opus_<kbps>", range(1, 1000), 16),), needs_libopus=True)
