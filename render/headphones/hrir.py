"""Head-related impulse responses: measured ones from SOFA files (AES69), or those of a rigid sphere.

Directions point to the sound source; ear 0 is the left one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy import ndarray
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from render.common.errors import InputError
from render.headphones import sofa_file
from render.headphones.sofa_file import MAX_VALUES, SofaFile
from render.hoa.spherical_harmonics import unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

RADIUS_M = 0.0875
EAR_AZIMUTH_DEG = 100.0
SPEED_OF_SOUND_M_S = 343.0
_SPHERE_LENGTH_S, _SPHERE_ONSET_S = 5e-3, 1e-3
_MAX_DELAY_S = 1.0
_MAX_DIRECTIONS = 100_000


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
    order = np.arange(int(ka.max()) + 24)[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        derivative = spherical_jn(order, ka, True) - 1j * spherical_yn(order, ka, True)
        terms = (2 * order + 1) * np.array([1, 1j, -1, -1j])[(order - 1) % 4] / (ka**2 * derivative)
    terms[~np.isfinite(terms)] = 0  # where h_n' overflows
    legendre = eval_legendre(order[:, 0], cosine[:, None])
    return legendre @ terms.real + 1j * (legendre @ terms.imag)


def read_sofa(path: Path) -> Head:
    """Read free-field impulse responses from a SOFA file (AES69, data type FIR, two receivers).

    Directions are those that the listener sees: ListenerPosition, ListenerView and ListenerUp are obeyed.

    Raises
    ------
    InputError
        If the file is missing, damaged, not a SOFA file or of another data type, if it keeps its data elsewhere,
        or if it declares more than it holds.
    """
    path = Path(path)
    return head_of(sofa_file.read(path), path)


def head_of(file: SofaFile, path: Path) -> Head:
    """Head of a SOFA file that has been read from `path`."""
    if file.data_type != "fir":
        raise InputError(
            f"{path}: SOFA data type {file.data_type.upper()!r}; only FIR (SimpleFreeFieldHRIR) is supported"
        )
    impulses = _values(file, "Data.IR", path)
    rate_hz = np.unique(_values(file, "Data.SamplingRate", path))
    delay = file.variables["Data.Delay"].values if "Data.Delay" in file.variables else np.zeros((1, 2))
    source = _points(file, "SourcePosition", path, default_type="spherical")
    directions = len(source)
    if impulses.ndim != 3 or impulses.shape[:2] != (directions, 2) or not impulses.size:
        raise InputError(
            f"{path}: responses {impulses.shape} and source positions {source.shape}; "
            "(directions, 2 ears, taps) and (directions, 3) are needed"
        )
    if directions > _MAX_DIRECTIONS:
        raise InputError(f"{path}: {directions} directions; at most {_MAX_DIRECTIONS} are supported")
    source = source - _vectors(file, "ListenerPosition", directions, (0.0, 0.0, 0.0), path)
    view = _vectors(file, "ListenerView", directions, (1.0, 0.0, 0.0), path)
    up = _vectors(file, "ListenerUp", directions, (0.0, 0.0, 1.0), path)
    receivers = _receivers(file, directions, path)
    if rate_hz.size != 1 or not 8000 <= rate_hz[0] <= 192000 or delay.shape not in ((1, 2), impulses.shape[:2]):
        raise InputError(f"{path}: sampling rate {rate_hz} Hz, delays {delay.shape}: not a usable SOFA file")
    delayed_size = 2 * directions * (impulses.shape[2] + abs(delay).max())
    if delay.min() < 0 or delay.max() > _MAX_DELAY_S * rate_hz[0] or delayed_size > MAX_VALUES:
        raise InputError(
            f"{path}: delays of {delay.min():g} to {delay.max():g} samples; possible are 0 to {_MAX_DELAY_S:g} s"
        )
    front, left, above = _as_seen(source, view, up, path)
    ears = [1, 0] if receivers[0] < receivers[1] else [0, 1]
    impulses = _delayed(impulses, np.broadcast_to(delay, impulses.shape[:2]))[:, ears]
    azimuth, elevation = np.arctan2(left, front), np.arctan2(above, np.hypot(front, left))
    return Head(azimuth, elevation, impulses, round(rate_hz[0]))


def _as_seen(
    source: Float64[ndarray, "direction 3"],
    view: Float64[ndarray, "direction 3"],
    up: Float64[ndarray, "direction 3"],
    path: Path,
) -> tuple[Float64[ndarray, " direction"], ...]:
    """Coordinates of the sources to the front, to the left and above, for a listener who looks along `view`."""
    left = np.cross(up, view)
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in (source, view, left)]
    if min(length.min() for length in lengths) < 1e-6:
        raise InputError(f"{path}: a source stands in the listener, or ListenerView and ListenerUp are parallel")
    view, left = view / lengths[1][:, None], left / lengths[2][:, None]
    axes = (view, left, np.cross(view, left))
    return tuple(np.einsum("dc,dc->d", source, axis) for axis in axes)


def _vectors(
    file: SofaFile, name: str, directions: int, default: tuple[float, float, float], path: Path
) -> Float64[ndarray, "direction 3"]:
    """One vector for each direction, from a variable that has one for all or one for each."""
    if name not in file.variables:
        return np.tile(default, (directions, 1))
    # AES69: ListenerUp is in the coordinates of ListenerView
    of_view = "ListenerView" if name == "ListenerUp" and file.variables[name].kind is None else None
    vectors = _points(file, name, path, default_type="cartesian", described_by=of_view)
    if vectors.shape not in ((1, 3), (directions, 3)):
        raise InputError(f"{path}: {name} of shape {vectors.shape}; (1, 3) or ({directions}, 3) is needed")
    return np.broadcast_to(vectors, (directions, 3))


def _receivers(file: SofaFile, directions: int, path: Path) -> Float64[ndarray, " ear"]:
    """How far to the left each of the two receivers is; their positions are relative to the listener."""
    positions = _values(file, "ReceiverPosition", path)
    if positions.ndim == 2:
        positions = positions[..., None]
    if positions.shape not in ((2, 3, 1), (2, 3, directions)):
        raise InputError(f"{path}: ReceiverPosition of shape {positions.shape}; (2 ears, 3) is needed")
    kind, unit = _coordinates(file, "ReceiverPosition", "cartesian", path)
    leftward = _cartesian(np.moveaxis(positions, 1, 2), kind, unit)[..., 1]
    if len({bool(more) for more in leftward[0] < leftward[1]}) > 1:
        raise InputError(f"{path}: the receivers change sides between the directions; export it again")
    return leftward[:, 0]


def _points(
    file: SofaFile, name: str, path: Path, default_type: str, described_by: str | None = None
) -> Float64[ndarray, "row 3"]:
    """Cartesian coordinates of the points in a variable."""
    points = _values(file, name, path)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"{path}: {name} of shape {points.shape}; (directions, 3) is needed")
    return _cartesian(points, *_coordinates(file, described_by or name, default_type, path))


def _coordinates(file: SofaFile, name: str, default_type: str, path: Path) -> tuple[str, str]:
    """Type of the coordinates of a variable, and the unit of the first of them."""
    if name not in file.variables:
        return default_type, "degree"
    kind, units = file.variables[name].kind, file.variables[name].units
    kind = default_type if kind is None else kind
    unit = ("degree" if kind == "spherical" else "metre") if units is None else units.split(",")[0]
    if kind not in ("spherical", "cartesian") or (
        kind == "spherical" and not unit.startswith(("degree", "radian"))
    ):
        raise InputError(
            f"{path}: {name} has coordinates of type {kind!r} in {unit!r}; spherical in degrees or radians and "
            "cartesian are supported"
        )
    return kind, unit


def _cartesian(points: Float64[ndarray, "*row 3"], kind: str, unit: str) -> Float64[ndarray, "*row 3"]:
    if kind == "cartesian":
        return points
    azimuth, elevation, radius = np.moveaxis(points, -1, 0)
    if unit.startswith("degree"):
        azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    # Sets of far-field responses leave the radius at 0
    radius = np.where(radius > 0, radius, 1.0)
    return unit_vectors(azimuth, elevation) * radius[..., None]


def _delayed(impulses: ndarray, delay: ndarray) -> ndarray:
    """Delay each response by its own number of samples, which need not be an integer."""
    if not delay.any():
        return impulses
    taps = impulses.shape[-1] + int(np.ceil(delay.max())) + 1
    rotation = np.exp(-2j * np.pi * np.fft.rfftfreq(taps) * delay[..., None])
    return np.fft.irfft(np.fft.rfft(impulses, taps, axis=-1) * rotation, taps, axis=-1)


def _values(file: SofaFile, name: str, path: Path) -> Float64[ndarray, "*shape"]:
    if name not in file.variables:
        raise InputError(f"{path}: the SOFA file has no {name}; export it again")
    return file.variables[name].values
