"""Model of a 32-capsule spherical microphone (mh acoustics Eigenmike em32) and its Ambisonic encoder.

A plane wave meets a rigid sphere, 32 capsules sample the pressure, and `pinv(Y)` of fourth order and radial
filters turn their signals into ACN/SN3D channels. Recordings made this way, such as EigenScape, differ from an
ideal encoding in three respects that a codec must cope with: each order n >= 2 is high-passed, because the sphere
is small compared with the wavelength; above about 8 kHz the 32 capsules cause spatial aliasing; and each capsule
adds noise of its own and has a slightly different gain.

The time convention is exp(+jωt). The direction of a wave is the one that it comes from.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128, Float
from numpy import ndarray
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from render.hoa.spherical_harmonics import acn_orders, sn3d_to_n3d, spherical_harmonics, unit_vectors

RADIUS_M = 0.042
SPEED_OF_SOUND_M_S = 343.0
ENCODER_ORDER = 4

# Self-noise of one capsule, white, rms in 0 .. 24 kHz: -128 dBFS/Hz
CAPSULE_NOISE_DBFS = -84.3
CAPSULE_NOISE_BAND_HZ = 24_000.0

# Mismatch between capsules (standard deviations). It leaks pressure into orders 2 to 4 far below the corner
# frequencies of their radial filters
MISMATCH_DB = 0.45
MISMATCH_DEG = 1.2

# Butterworth magnitude (order, corner) of EigenStudio's radial filters; orders 0 and 1 are full band
ORDER_HIGH_PASS_HZ = {2: (4, 397.0), 3: (5, 1042.0), 4: (6, 1857.0)}

# Equalisation common to all channels, and the preamplifier's high-pass (Butterworth, order 2)
_EQUALISER = {1_000: 0.0, 2_000: 2.5, 4_000: 5.5, 8_000: 5.5, 12_000: 0.5, 20_000: 0.0}
_PREAMPLIFIER_HIGH_PASS_HZ = 20.0

# Order at which the series of the rigid sphere ends: kr is 18.5 at 24 kHz, where higher terms are below -60 dB
_SERIES_ORDER = 24

# Colatitude and azimuth of the capsules in degrees (mh acoustics, em32 release notes)
_CAPSULES_DEG = (
    (69, 0), (90, 32), (111, 0), (90, 328), (32, 0), (55, 45), (90, 69), (125, 45),
    (148, 0), (125, 315), (90, 291), (55, 315), (21, 91), (58, 90), (121, 90), (159, 89),
    (69, 180), (90, 212), (111, 180), (90, 148), (32, 180), (55, 225), (90, 249), (125, 225),
    (148, 180), (125, 135), (90, 111), (55, 135), (21, 269), (58, 270), (122, 270), (159, 271),
)  # fmt: skip


def capsule_directions() -> tuple[Float[ndarray, " capsule"], Float[ndarray, " capsule"]]:
    """Azimuth and elevation of the 32 capsules, in radians."""
    colatitude, azimuth = np.radians(np.asarray(_CAPSULES_DEG, float)).T
    return azimuth, np.pi / 2 - colatitude


def rigid_sphere(max_order: int, kr: Float[ndarray, " frequency"]) -> Complex128[ndarray, "n frequency"]:
    """Pressure on a rigid sphere in an incident plane wave, per order: b_n(kr).

    b_n = j^(n-1) / ((kr)² h_n'(kr)) with the spherical Hankel function of the second kind. This is the usual
    j^n (j_n - j_n'/h_n' h_n) (Williams 1999, eq. 6.180), which suffers from cancellation, simplified by the
    Wronskian.

    Parameters
    ----------
    max_order : int
    kr : float (frequency,)
        Wave number times radius, positive.
    """
    n = np.arange(max_order + 1)[:, None]
    derivative = spherical_jn(n, kr, derivative=True) - 1j * spherical_yn(n, kr, derivative=True)
    return 1j ** ((n - 1) % 4) / (kr**2 * derivative)


def order_high_pass(order: int, frequency_hz: Float[ndarray, " frequency"]) -> Float[ndarray, "n frequency"]:
    """Magnitude of the radial filters relative to an ideal encoder, per order 0 .. `order`."""
    gain = np.ones((order + 1, len(frequency_hz)))
    for n in range(2, order + 1):
        slope, corner_hz = ORDER_HIGH_PASS_HZ[n]
        gain[n] = np.sqrt(_high_pass_power(frequency_hz, corner_hz, slope))
    return gain


def _high_pass_power(frequency_hz: ndarray, corner_hz: ndarray | float, slope: int) -> ndarray:
    ratio = (np.asarray(frequency_hz) / corner_hz) ** (2 * slope)
    return ratio / (1 + ratio)


def order_energy(
    n: int, frequency_hz: Float[ndarray, " frequency"], corner_hz: Float[ndarray, "corner 1"], mismatch: bool
) -> Float[ndarray, "corner frequency"]:
    """Expected energy of order n relative to W in an isotropic field, for given corner frequencies.

    Far below its corner, an order consists mainly of pressure that leaks into it through the mismatch of the
    capsules. With relative errors of variance v, row e of `pinv(Y)` and capsule pressure p, the leakage before the
    high-pass is v |e|² E|p|² / |b_n|². Spatial aliasing is neglected.

    Parameters
    ----------
    n : int
        2 to 4.
    frequency_hz : float (frequency,)
    corner_hz : float (corner, 1)
    mismatch : bool
        Whether to include the leakage.
    """
    azimuth, elevation = capsule_directions()
    harmonics = spherical_harmonics(ENCODER_ORDER, azimuth, elevation) * sn3d_to_n3d(ENCODER_ORDER)
    rows = np.linalg.pinv(harmonics)[acn_orders(ENCODER_ORDER) == n]
    sphere = np.abs(rigid_sphere(_SERIES_ORDER, _kr(np.asarray(frequency_hz)))) ** 2
    pressure = (2 * np.arange(_SERIES_ORDER + 1) + 1) @ sphere
    variance = (np.log(10) / 20 * MISMATCH_DB) ** 2 + np.radians(MISMATCH_DEG) ** 2
    leakage = variance * np.sum(rows**2) / (2 * n + 1) * pressure / sphere[n]
    return _high_pass_power(frequency_hz, corner_hz, n + 2) * (1 + mismatch * leakage)


def equaliser(frequency_hz: Float[ndarray, " frequency"]) -> Float[ndarray, " frequency"]:
    """Magnitude common to all channels: a rise of 5.5 dB at 4 to 8 kHz, and a high-pass at 20 Hz."""
    octave = np.log2(np.maximum(frequency_hz, 1e-3))
    rise_db = np.interp(octave, np.log2(list(_EQUALISER)), list(_EQUALISER.values()))
    ratio = np.asarray(frequency_hz) / _PREAMPLIFIER_HIGH_PASS_HZ
    return 10 ** (rise_db / 20) * ratio**2 / np.sqrt(1 + ratio**4)


def encoder(
    frequency_hz: Float[ndarray, " frequency"], order: int = 4, mismatch_seed: int | None = None
) -> Complex128[ndarray, "frequency acn capsule"]:
    """Matrix from capsule signals to ACN/SN3D channels at each frequency.

    Parameters
    ----------
    frequency_hz : float (frequency,)
        Not negative; the matrix at 0 Hz is zero.
    order : int
        0 to 4.
    mismatch_seed : int or None
        The microphone; None is one without mismatch between capsules.
    """
    azimuth, elevation = capsule_directions()
    harmonics = spherical_harmonics(ENCODER_ORDER, azimuth, elevation) * sn3d_to_n3d(ENCODER_ORDER)
    matrix = np.linalg.pinv(harmonics)[: (order + 1) ** 2] / sn3d_to_n3d(order)[:, None]
    frequency_hz = np.asarray(frequency_hz, float)
    audible = np.maximum(frequency_hz, 1.0)
    radial = order_high_pass(order, audible) / rigid_sphere(order, _kr(audible)) * equaliser(audible)
    radial = np.where(frequency_hz > 0, radial, 0.0)
    result = radial.T[:, acn_orders(order), None] * matrix
    return result if mismatch_seed is None else result * _mismatch(mismatch_seed)


def _mismatch(seed: int) -> Complex128[ndarray, " capsule"]:
    """Complex gain of each capsule of one microphone.

    The gains are drawn at random, but their projection on the harmonics of each order has exactly the expected
    energy: every microphone leaks as much into each order as a typical one does, in a pattern of its own.
    """
    rng = np.random.default_rng([seed, 0xE32])
    draws = rng.standard_normal((len(_CAPSULES_DEG), 2))
    basis, _ = np.linalg.qr(spherical_harmonics(ENCODER_ORDER, *capsule_directions()))
    parts = basis.T @ draws  # orders 0 to 4 of gain and phase; the encoder ignores the rest
    scaled = parts.copy()
    for n in range(ENCODER_ORDER + 1):
        inside = acn_orders(ENCODER_ORDER) == n
        scaled[inside] *= np.sqrt((2 * n + 1) / np.square(parts[inside]).sum(axis=0))
    gain_db, phase_deg = (draws + basis @ (scaled - parts)).T
    return 10 ** (MISMATCH_DB * gain_db / 20) * np.exp(1j * np.radians(MISMATCH_DEG * phase_deg))


def _kr(frequency_hz: ndarray) -> ndarray:
    return 2 * np.pi * frequency_hz / SPEED_OF_SOUND_M_S * RADIUS_M


def plane_wave_responses(
    azimuth_rad: Float[ndarray, " direction"],
    elevation_rad: Float[ndarray, " direction"],
    frequency_hz: Float[ndarray, " frequency"],
    order: int = 4,
    mismatch_seed: int | None = None,
) -> Complex128[ndarray, "frequency direction acn"]:
    """ACN/SN3D channels that the microphone delivers for unit plane waves, spatial aliasing included.

    Below about 5 kHz and without mismatch this is `equaliser` x `order_high_pass` x spherical harmonics.

    Parameters
    ----------
    azimuth_rad, elevation_rad : float (direction,)
        Directions that the waves come from; azimuth anticlockwise.
    frequency_hz : float (frequency,)
    order : int
        0 to 4.
    mismatch_seed : int or None
        The microphone; None is one without mismatch between capsules.
    """
    towards = unit_vectors(azimuth_rad, elevation_rad) @ unit_vectors(*capsule_directions()).T
    n = np.arange(_SERIES_ORDER + 1)
    # Addition theorem: p = sum_n (2n+1) b_n P_n(cos of the angle between wave and capsule)
    modes = (2 * n[:, None, None] + 1) * eval_legendre(n[:, None, None], towards)
    sphere = rigid_sphere(_SERIES_ORDER, _kr(np.maximum(frequency_hz, 1.0)))
    pressure = np.tensordot(sphere, modes, axes=(0, 0))
    return pressure @ encoder(frequency_hz, order, mismatch_seed).transpose(0, 2, 1)


def noise_covariance(
    frequency_hz: Float[ndarray, " frequency"], order: int = 4
) -> Complex128[ndarray, "frequency acn acn"]:
    """Covariance of the channels for uncorrelated capsule noise of unit power."""
    matrix = encoder(frequency_hz, order)
    return matrix @ matrix.conj().transpose(0, 2, 1)
