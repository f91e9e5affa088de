"""Loudspeaker layouts of ITU-R BS.2051 and of IAMF, their user names and their order in files."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.hoa.layout_file import LayoutFile, read_layout_file
from render.hoa.spherical_harmonics import unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float64

# Elevation of the layer that a label begins with, in degrees (BS.2051-3, clause 2)
_LAYER_ELEVATION_DEG = {"B": -30.0, "M": 0.0, "U": 30.0, "UH": 45.0, "T": 90.0}
# The standard leaves these two sets of positions open; screen loudspeakers stand inside or outside of M+030, M-030
_SCREEN_AZIMUTH_DEG = 15.0
_LFE_POSITION_DEG = (45.0, -30.0)

_MEASURED_KEYS = {"azimuth", "elevation", "distance", "gain_db", "delay_ms"}
_SAME_DIRECTION = 1e-4  # rad; two loudspeakers of a set cannot stand closer to each other

# Loudspeakers that a file's channel may be for each label, by CoreAudio's labels (bits of the mask of
# WAVEFORMATEXTENSIBLE, counted from 1): a pair of surrounds is "back", "side" or "surround" as its companions are
_FILE_POSITIONS = {
    "M+030": (1,), "M-030": (2,), "M+000": (3,), "LFE1": (4,), "M+SC": (7,), "M-SC": (8,), "M+180": (9,),
    "M+110": (5, 10), "M-110": (6, 11), "M+090": (10, 5), "M-090": (11, 6), "M+135": (33, 5), "M-135": (34, 6),
    "M+060": (35,), "M-060": (36,), "U+030": (13,), "U-030": (15,), "U+045": (13,), "U-045": (15,), "U+000": (14,),
    "U+110": (16, 52), "U-110": (18, 54), "U+135": (16, 52), "U-135": (18, 54), "U+180": (17,), "T+000": (12,),
    "U+090": (49,), "U-090": (51,),
}  # fmt: skip

# Bit of each label in the channel mask of WAVEFORMATEXTENSIBLE; ascending bits are the order in the file.
# Surrounds at 110 degrees are "back", as in Microsoft's 5.1 (0x3F) and ffmpeg's 5.1.4 (0x2D03F).
_WAV_BIT = {
    "M+030": 0, "M-030": 1, "M+000": 2, "LFE1": 3,
    "M+110": 4, "M-110": 5, "M+135": 4, "M-135": 5, "M+SC": 6, "M-SC": 7, "M+090": 9, "M-090": 10,
    "U+030": 12, "U+045": 12, "U-030": 14, "U-045": 14, "U+110": 15, "U+135": 15, "U-110": 17, "U-135": 17,
}  # fmt: skip


@dataclass(frozen=True)
class Loudspeaker:
    """One output channel of a layout.

    Attributes
    ----------
    label : str
        BS.2051 label, e.g. ``M+030``.
    azimuth_deg, elevation_deg : float
        Position: azimuth anticlockwise from the front (-180..180), elevation upwards (-90..90).
    is_lfe : bool
        Low-frequency effects channel: no direction, not driven by Ambisonics.
    """

    label: str
    azimuth_deg: float
    elevation_deg: float
    is_lfe: bool = False


@dataclass(frozen=True)
class Layout:
    """Loudspeakers in channel order.

    `name` counts those of a standard by layer, upper+middle+bottom, e.g. ``4+7+0``; a set of one's own has any
    other.
    """

    name: str
    loudspeakers: tuple[Loudspeaker, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Channel labels, in channel order."""
        return tuple(loudspeaker.label for loudspeaker in self.loudspeakers)

    @property
    def full_range(self) -> list[int]:
        """Indices of the channels that are not LFE channels."""
        return [index for index, loudspeaker in enumerate(self.loudspeakers) if not loudspeaker.is_lfe]

    def directions_rad(self) -> tuple[Float64[ndarray, " channel"], Float64[ndarray, " channel"]]:
        """Azimuth and elevation of every channel in radians, LFE channels included."""
        azimuth = np.radians([loudspeaker.azimuth_deg for loudspeaker in self.loudspeakers])
        return azimuth, np.radians([loudspeaker.elevation_deg for loudspeaker in self.loudspeakers])

    def permuted(self, permutation: Sequence[int]) -> Layout:
        """Return the same loudspeakers in another channel order, such as that of `file_order`."""
        return Layout(self.name, tuple(self.loudspeakers[index] for index in permutation))


def layout(name: str) -> Layout:
    """Layout of BS.2051 or IAMF, loudspeakers at their nominal positions unless measured ones are given.

    Parameters
    ----------
    name : str
        The standard's name (``4+7+0``), a user's (``7.1.4``, ``stereo``; see `layout_names`) or the path of
        a ``.toml`` or ``.json`` file (see `measured_layout`).

    Raises
    ------
    InputError
        If the name is unknown; the message lists the known ones.

    Examples
    --------
    >>> layout("7.1.4").labels[:4]
    ('M+030', 'M-030', 'M+000', 'LFE1')
    """
    if is_layout_file(name):
        return measured_layout(Path(name))
    wanted = name.strip().lower()
    for standard_name, entry in _standard().items():
        if wanted in (standard_name, *entry["names"]):
            return Layout(standard_name, nominal_loudspeakers(standard_name))
    known = ", ".join(f"{user} ({standard})" for user, standard in (layout_names() | iamf_layout_names()).items())
    raise InputError(
        f"layout {name!r} is unknown; known are {known}, or a .toml or .json file of loudspeaker positions"
    )


def is_layout_file(name: str) -> bool:
    """Whether a layout is given by a file of positions."""
    return name.endswith((".toml", ".json"))


def nominal_loudspeakers(name: str) -> tuple[Loudspeaker, ...]:
    """Loudspeakers of a layout of BS.2051 or IAMF at nominal positions; none if no standard has the name."""
    entries = _standard().get(name, {}).get("loudspeakers", [])
    return tuple(_nominal(loudspeaker["label"]) for loudspeaker in entries)


def measured_layout(path: Path) -> Layout:
    """Layout with the loudspeakers at their measured positions, from a file (`render.hoa.layout_file`).

    A file that names a layout gives the positions that are not nominal, in degrees::

        layout = "7.1.4"
        [loudspeakers]
        "M+030" = { azimuth = 32.5 }
        "U-045" = { azimuth = -40.0, elevation = 42.0 }

    Any other set of loudspeakers has a name of its own and says where each of them stands. It may also hold a
    ``distance`` in metres, ``gain_db`` and ``delay_ms``; see `render.loudspeakers.calibration`.

    Raises
    ------
    InputError
        If the file is damaged or names an unknown loudspeaker, or a position lies outside the range that
        BS.2051 allows it (LFE may stand anywhere), or two loudspeakers of a set stand in one direction.
    """
    path = Path(path)
    file = read_layout_file(path)
    if file.layout is None:
        return _own_set(file, path)
    try:
        if is_layout_file(file.layout):
            raise InputError(f"layout {Path(file.layout).stem!r} is unknown; a file cannot refer to another one")
        nominal = layout(file.layout)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    moved = file.loudspeakers
    if not isinstance(moved, dict) or (unknown := sorted(set(moved) - set(nominal.labels))):
        raise InputError(
            f"{path}: [loudspeakers] needs labels of {nominal.name} ({', '.join(nominal.labels)})"
            + (f", not {unknown[0]!r}" if isinstance(moved, dict) else "")
        )
    entries = _standard()[nominal.name]["loudspeakers"]
    return Layout(
        nominal.name,
        tuple(
            _moved(speaker, entry, moved.get(speaker.label, {}), path)
            for speaker, entry in zip(nominal.loudspeakers, entries, strict=True)
        ),
    )


def _own_set(file: LayoutFile, path: Path) -> Layout:
    """Layout of a file that lists all loudspeakers of a room."""
    if not file.name.isprintable() or not file.name.strip() or nominal_loudspeakers(file.name):
        raise InputError(f"{path}: name {file.name!r}; a set of loudspeakers needs a name that no standard has")
    if not isinstance(file.loudspeakers, dict) or not file.loudspeakers:
        raise InputError(f"{path}: no loudspeakers; [loudspeakers] lists them in the order of their channels")
    speakers = tuple(_placed(label, given, path) for label, given in file.loudspeakers.items())
    result = Layout(file.name, speakers)
    heard = result.full_range
    if not heard:
        raise InputError(f"{path}: no loudspeakers with a direction")
    vectors = unit_vectors(*result.directions_rad())[heard]
    near = np.argwhere(np.triu(vectors @ vectors.T > np.cos(_SAME_DIRECTION), 1))
    if near.size:
        first, second = (result.labels[heard[index]] for index in near[0])
        raise InputError(f"{path}: {first} and {second} stand in the same direction; leave one of them out")
    return result


def _placed(label: str, given: Any, path: Path) -> Loudspeaker:
    where = f"{path}: {label}"
    if not label.strip() or "," in label or not label.isprintable():
        raise InputError(f"{path}: label {label!r}; a label has no comma and is not empty")
    if not isinstance(given, dict) or set(given) - _MEASURED_KEYS - {"lfe"}:
        raise InputError(
            f"{where}: needs {{ azimuth = degrees, elevation = degrees }} or {{ lfe = true }} (distance, gain_db, "
            f"delay_ms), got {given!r}"
        )
    is_lfe = given.get("lfe", False)
    if not isinstance(is_lfe, bool) or (not is_lfe and "azimuth" not in given):
        raise InputError(f"{where}: needs an azimuth, or lfe = true")
    nominal = _nominal("LFE1") if is_lfe else Loudspeaker(label, 0.0, 0.0)
    azimuth, elevation = _angles(given, nominal, where)
    if abs(elevation) > 90:
        raise InputError(f"{where}: elevation {elevation:g} degrees; possible are -90 to 90")
    return Loudspeaker(label, azimuth, elevation, is_lfe)


def _moved(nominal: Loudspeaker, entry: dict, position: dict, path: Path) -> Loudspeaker:
    where = f"{path}: {nominal.label}"
    if not isinstance(position, dict) or set(position) - _MEASURED_KEYS:
        raise InputError(
            f"{where}: needs {{ azimuth = degrees, elevation = degrees }} (distance, gain_db, delay_ms), "
            f"got {position!r}"
        )
    azimuth, elevation = _angles(position, nominal, where)
    if not nominal.is_lfe:
        # Ranges are those of the left side; M+180 and U+180 may be given as -180
        sign = -1.0 if nominal.azimuth_deg < 0 else 1.0
        outward = 180.0 if abs(azimuth) == 180 and nominal.azimuth_deg == 180 else sign * azimuth
        _check_range(outward, entry.get("azimuth", [abs(nominal.azimuth_deg)] * 2), f"{where}: azimuth")
        _check_range(elevation, entry.get("elevation", [nominal.elevation_deg] * 2), f"{where}: elevation")
        azimuth = sign * outward
    return replace(nominal, azimuth_deg=azimuth, elevation_deg=elevation)


def _angles(position: dict[str, Any], nominal: Loudspeaker, where: str) -> tuple[float, float]:
    """Azimuth, from -180 to before 180, and elevation in degrees; what is not given is nominal."""
    measured = {
        "azimuth": position.get("azimuth", nominal.azimuth_deg),
        "elevation": position.get("elevation", nominal.elevation_deg),
    }
    for axis, angle_deg in measured.items():
        if isinstance(angle_deg, bool) or not isinstance(angle_deg, int | float) or not abs(angle_deg) <= 360:
            raise InputError(f"{where}: {axis} {angle_deg!r} is not an angle in degrees")
    return (measured["azimuth"] + 180.0) % 360.0 - 180.0, float(measured["elevation"])


def _check_range(angle_deg: float, allowed_deg: list[float], what: str) -> None:
    low, high = allowed_deg
    if not low <= angle_deg <= high:
        raise InputError(
            f"{what} {angle_deg:g} degrees (outwards from the front); BS.2051 allows {low:g} to {high:g}"
        )


def layout_names() -> dict[str, str]:
    """User name -> the standard's name of every layout of BS.2051."""
    return _names("bs2051.toml")


def iamf_layout_names() -> dict[str, str]:
    """User name -> name by layers of every layout that IAMF adds."""
    return _names("iamf.toml")


def _names(standard: str) -> dict[str, str]:
    return {entry["names"][0]: name for name, entry in _file(standard).items()}


@cache
def _file(standard: str) -> dict:
    return tomllib.loads(Path(__file__).with_name(standard).read_text(encoding="utf-8"))


def _standard() -> dict:
    return _file("bs2051.toml") | _file("iamf.toml")


def downmix_parent(of: Layout) -> tuple[Layout, tuple[tuple[float, ...], ...]] | None:
    """Layout of BS.2051 that a layout of IAMF is mixed down from, and gains (loudspeaker, parent's loudspeaker).

    None for layouts of BS.2051. The parent's loudspeakers stand where those of the same label in `of` do.

    Examples
    --------
    >>> parent, gains = downmix_parent(layout("7.1.2"))
    >>> parent.name, dict(zip(parent.labels, gains[8]))["U+135"]
    ('4+7+0', 0.7071067811865476)
    """
    entry = _standard().get(of.name, {})
    if "parent" not in entry:
        return None
    placed = dict(zip(of.labels, of.loudspeakers, strict=True))
    nominal = layout(entry["parent"])
    parent = Layout(nominal.name, tuple(placed.get(speaker.label, speaker) for speaker in nominal.loudspeakers))
    mixes = [{loudspeaker["label"]: 1.0, **loudspeaker.get("mix", {})} for loudspeaker in entry["loudspeakers"]]
    return parent, tuple(tuple(mix.get(label, 0.0) for label in parent.labels) for mix in mixes)


def _nominal(label: str) -> Loudspeaker:
    if label.startswith("LFE"):
        azimuth, elevation = _LFE_POSITION_DEG
        return Loudspeaker(label, azimuth if label == "LFE1" else -azimuth, elevation, is_lfe=True)
    cut = max(label.find("+"), label.find("-"))
    sign, angle = (1.0 if label[cut] == "+" else -1.0), label[cut + 1 :]
    azimuth = sign * (_SCREEN_AZIMUTH_DEG if angle == "SC" else float(angle))
    return Loudspeaker(label, azimuth, _LAYER_ELEVATION_DEG[label[:cut]])


def file_order(of: Layout, order: str) -> tuple[tuple[int, ...], int]:
    """Channel order and channel mask of a layout in a file.

    Parameters
    ----------
    of : Layout
    order : str
        ``bs2051``: the standard's own order; ``wav``: the order of WAVEFORMATEXTENSIBLE, rear before side; or
        all labels in the desired order, separated by commas.

    Returns
    -------
    permutation : tuple of int
        ``samples[list(permutation)]`` are the channels in the order of the file.
    mask : int
        dwChannelMask that describes this order; 0 if the order is not that of WAV.

    Raises
    ------
    InputError
        If the order is unknown, a list does not name every label once, or WAV has no position for a loudspeaker
        (bottom layer, second LFE, ...).

    Examples
    --------
    >>> permutation, mask = file_order(layout("7.1.4"), "wav")
    >>> permutation, hex(mask)
    ((0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11), '0x2d63f')
    """
    identity = tuple(range(len(of.labels)))
    if "," in order:
        listed = [label.strip() for label in order.split(",")]
        if sorted(listed) != sorted(of.labels):
            raise InputError(f"channel order {order!r}: needs each label of {of.name} once: {','.join(of.labels)}")
        return tuple(of.labels.index(label) for label in listed), 0
    if order not in ("bs2051", "wav"):
        raise InputError(f"channel order {order!r} is unknown; known are bs2051, wav and a list of all labels")
    missing = [label for label in of.labels if label not in _WAV_BIT]
    if missing and order == "wav":
        raise InputError(
            f"layout {of.name}: WAV has no channel position for {', '.join(missing)}; "
            "write it in the standard's own order (bs2051)"
        )
    if missing:
        return identity, 0
    permutation = tuple(sorted(identity, key=lambda index: _WAV_BIT[of.labels[index]]))
    mask = sum(1 << _WAV_BIT[label] for label in of.labels)
    if order == "wav" or permutation == identity:
        return permutation, mask
    return identity, 0


def order_of_positions(of: Layout, positions: Sequence[int]) -> tuple[int, ...] | None:
    """Channel order of a file that gives the loudspeaker of each channel; None if they are not those of `of`.

    Parameters
    ----------
    of : Layout
    positions : sequence of int
        As in `render.fileio.channel_statements.Statement`.

    Returns
    -------
    tuple of int, or None
        As the permutation of `file_order`.

    Examples
    --------
    >>> order_of_positions(layout("5.1"), (1, 2, 5, 6, 3, 4))  # L R Ls Rs C LFE
    (0, 1, 4, 5, 2, 3)
    """
    left = list(positions)
    found: dict[int, int] = {}
    # Labels with one possible loudspeaker first
    for index in sorted(range(len(of.labels)), key=lambda at: len(_FILE_POSITIONS.get(of.labels[at], ()))):
        wanted = [one for one in _FILE_POSITIONS.get(of.labels[index], ()) if one in left]
        if not wanted:
            return None
        found[left.index(wanted[0])] = index
        left[left.index(wanted[0])] = -1
    return tuple(found[channel] for channel in sorted(found)) if len(found) == len(left) else None
