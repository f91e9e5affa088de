"""Head-related impulse responses: measured ones from SOFA files (AES69), or those of a rigid sphere.

Directions point to the sound source; ear 0 is the left one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import soxr
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from render.common.errors import InputError
from render.hoa.spherical_harmonics import unit_vectors

RADIUS_M = 0.0875
EAR_AZIMUTH_DEG = 100.0
SPEED_OF_SOUND_M_S = 343.0
_SPHERE_LENGTH_S, _SPHERE_ONSET_S = 5e-3, 1e-3
_MAX_VALUES = 200_000_000  # 1.6 GB as float64; real sets are smaller, but a hostile file may declare more


@dataclass(frozen=True, eq=False)
class Head:
    """Head-related impulse responses from a set of directions to both ears.

    Attributes
    ----------
    azimuth_rad, elevation_rad : (direction,)
    impulses : (direction, ear, tap)
    sample_rate_hz : int
    """

    azimuth_rad: Float64[ndarray, " direction"]
    elevation_rad: Float64[ndarray, " direction"]
    impulses: Float64[ndarray, "direction ear tap"]
    sample_rate_hz: int

    def at(self, azimuth_rad: Float[ndarray, " wanted"], elevation_rad: Float[ndarray, " wanted"]) -> Head:
        """Responses from those measured directions that are nearest to the wanted ones."""
        measured = unit_vectors(self.azimuth_rad, self.elevation_rad)
        nearest = np.argmax(unit_vectors(azimuth_rad, elevation_rad) @ measured.T, axis=1)
        return Head(
            self.azimuth_rad[nearest], self.elevation_rad[nearest], self.impulses[nearest], self.sample_rate_hz
        )

    def resampled(self, sample_rate_hz: int) -> Head:
        """The same responses at another sample rate (soxr VHQ), scaled so that a tone keeps its level."""
        if sample_rate_hz == self.sample_rate_hz:
            return self
        directions, ears, taps = self.impulses.shape
        series = self.impulses.reshape(-1, taps).T
        series = soxr.resample(series, self.sample_rate_hz, sample_rate_hz, quality="VHQ")
        impulses = series.T.reshape(directions, ears, -1) * (self.sample_rate_hz / sample_rate_hz)
        return Head(self.azimuth_rad, self.elevation_rad, impulses, sample_rate_hz)


def rigid_sphere(
    azimuth_rad: Float[ndarray, " direction"], elevation_rad: Float[ndarray, " direction"], sample_rate_hz: int
) -> Head:
    """Compute the responses of a rigid sphere with ears at ±100°: a head without pinnae and torso.

    They are band-limited to 0.9 of the Nyquist frequency. A wave passes the centre of the head after 1 ms.
    """
    taps = 2 * round(_SPHERE_LENGTH_S * sample_rate_hz / 2)
    frequency_hz = np.fft.rfftfreq(taps, 1 / sample_rate_hz)
    directions = unit_vectors(azimuth_rad, elevation_rad)
    ears = unit_vectors(np.radians([EAR_AZIMUTH_DEG, -EAR_AZIMUTH_DEG]), np.zeros(2))
    response = sphere_pressure(frequency_hz, (directions @ ears.T).ravel()).reshape(len(directions), 2, -1)
    nyquist_hz = sample_rate_hz / 2
    rolled_off = np.clip((frequency_hz / nyquist_hz - 0.9) / 0.1, 0, 1)
    response *= np.cos(np.pi / 2 * rolled_off) ** 2 * np.exp(-2j * np.pi * frequency_hz * _SPHERE_ONSET_S)
    impulses = np.fft.irfft(response, taps, axis=-1)
    return Head(np.asarray(azimuth_rad, float), np.asarray(elevation_rad, float), impulses, sample_rate_hz)


def sphere_pressure(frequency_hz: Float[ndarray, " bin"], cosine: Float[ndarray, " direction"]) -> ndarray:
    """Pressure on a rigid sphere relative to the free-field pressure at its centre, for the time factor e^(+jωt).

    H = Σ (2n+1) i^(n-1) P_n(cos Θ) / ((ka)² h_n'(ka)), with Θ the angle between ear and source and h_n the Hankel
    function of the second kind (Rayleigh 1904; Duda & Martens 1998, eq. 3). Terms far beyond n = ka vanish.

    Parameters
    ----------
    frequency_hz : (bin,)
    cosine : (direction,)
        cos Θ.

    Returns
    -------
    complex (direction, bin)
    """
    ka = 2 * np.pi * np.maximum(frequency_hz, 1.0) * RADIUS_M / SPEED_OF_SOUND_M_S
    pressure = np.zeros((len(cosine), len(ka)), np.complex128)
    for n in range(int(ka.max()) + 24):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            derivative = spherical_jn(n, ka, True) - 1j * spherical_yn(n, ka, True)
            term = (2 * n + 1) * 1j ** ((n - 1) % 4) / (ka**2 * derivative)
        # Where h_n' overflows, the term is 0
        pressure += eval_legendre(n, cosine)[:, None] * np.where(np.isfinite(term), term, 0)
    return pressure


def read_sofa(path: Path) -> Head:
    """Read free-field impulse responses from a SOFA file (AES69, data type FIR, two receivers).

    Raises
    ------
    InputError
        If the file is missing, damaged, not a SOFA file or of another data type.
    """
    path = Path(path)
    with _opened(path) as file:
        kind = _text(file.attrs.get("DataType", ""))
        if kind != "FIR":
            raise InputError(
                f"{path}: SOFA data type {kind or 'none'!r}; only FIR (SimpleFreeFieldHRIR) is supported"
            )
        impulses = _values(file, "Data.IR", path)
        source = _values(file, "SourcePosition", path)
        receiver = _values(file, "ReceiverPosition", path).reshape(-1, 3)
        rate_hz = np.unique(_values(file, "Data.SamplingRate", path))
        delay = _values(file, "Data.Delay", path) if "Data.Delay" in file else np.zeros((1, 2))
        spherical = _text(file["SourcePosition"].attrs.get("Type", "spherical")) == "spherical"
        unit = _text(file["SourcePosition"].attrs.get("Units", "degree"))
    if impulses.ndim != 3 or impulses.shape[1] != 2 or source.shape != (len(impulses), 3):
        raise InputError(
            f"{path}: responses {impulses.shape} and source positions {source.shape}; "
            "(directions, 2 ears, taps) and (directions, 3) are needed"
        )
    if rate_hz.size != 1 or not 8000 <= rate_hz[0] <= 192000 or delay.shape not in ((1, 2), impulses.shape[:2]):
        raise InputError(f"{path}: sampling rate {rate_hz} Hz, delays {delay.shape}: not a usable SOFA file")
    if spherical:
        azimuth, elevation = source[:, 0], source[:, 1]
        if unit.startswith("degree"):
            azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    else:
        azimuth = np.arctan2(source[:, 1], source[:, 0])
        elevation = np.arctan2(source[:, 2], np.hypot(source[:, 0], source[:, 1]))
    ears = [0, 1] if len(receiver) != 2 or receiver[0, 1] >= receiver[1, 1] else [1, 0]
    impulses = _delayed(impulses, np.broadcast_to(delay, impulses.shape[:2]))[:, ears]
    return Head(azimuth, elevation, impulses, round(rate_hz[0]))


def _delayed(impulses: ndarray, delay: ndarray) -> ndarray:
    """Delay each response by its own number of samples, which need not be an integer."""
    if not delay.any():
        return impulses
    taps = impulses.shape[-1] + int(np.ceil(delay.max())) + 1
    rotation = np.exp(-2j * np.pi * np.fft.rfftfreq(taps) * delay[..., None])
    return np.fft.irfft(np.fft.rfft(impulses, taps, axis=-1) * rotation, taps, axis=-1)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a SOFA file, or damaged (HDF5: {str(error).splitlines()[0]})") from None


def _values(file: h5py.File, name: str, path: Path) -> Float64[ndarray, "*shape"]:
    if name not in file or not hasattr(file[name], "shape"):
        raise InputError(f"{path}: the SOFA file has no {name}; export it again")
    if file[name].size > _MAX_VALUES or file[name].dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {name} of shape {file[name].shape} and type {file[name].dtype} is not supported"
        )
    values = np.asarray(file[name][()], np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: {name} is not finite; export it again")
    return values


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
