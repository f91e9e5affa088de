"""Gain and delay of each loudspeaker, from a file of measured positions.

    layout = "7.1.4"
    [loudspeakers]
    "M+030" = { azimuth = 31.0, distance = 2.1, gain_db = -0.5 }

The distances of a layout in JSON (`render.hoa.layout_file`) count alike. Where distances d (in metres) are given,
nearer loudspeakers are attenuated by 20 lg(d_max/d) dB (free field) and delayed by (d_max - d)/c to match the
farthest one. ``gain_db`` and ``delay_ms`` are added to that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.common.errors import InputError
from render.hoa.layout import measured_layout
from render.hoa.layout_file import read_layout_file

_SPEED_OF_SOUND_M_S = 343.0
_RANGES = {"distance": (0.3, 100.0), "gain_db": (-60.0, 20.0), "delay_ms": (0.0, 500.0)}


@dataclass(frozen=True)
class Trim:
    """Gain and delay applied to the feed of one loudspeaker."""

    gain_db: float
    delay_s: float


def read_trims(path: Path) -> dict[str, Trim]:
    """Read the trims of all loudspeakers, by label, from the file of a measured layout.

    An LFE without a distance counts as being as far away as the farthest loudspeaker.

    Raises
    ------
    InputError
        As `render.hoa.layout.measured_layout`, or if a value is not a number or out of range (distance 0.3 to
        100 m, gain -60 to 20 dB, delay 0 to 500 ms), or if only some loudspeakers have a distance.
    """
    of = measured_layout(path)
    given = read_layout_file(path).loudspeakers
    values = {label: _checked(given.get(label, {}), f"{path}: {label}") for label in of.labels}
    distances = {label: value["distance"] for label, value in values.items() if "distance" in value}
    missing = [s.label for s in of.loudspeakers if not s.is_lfe and s.label not in distances]
    if distances and missing:
        raise InputError(f"{path}: {missing[0]} has no distance, but others have; give all or none")
    farthest = max(distances.values(), default=1.0)
    result = {}
    for label, value in values.items():
        distance = distances.get(label, farthest)
        result[label] = Trim(
            20 * math.log10(distance / farthest) + value.get("gain_db", 0.0),
            (farthest - distance) / _SPEED_OF_SOUND_M_S + 1e-3 * value.get("delay_ms", 0.0),
        )
    return result


def read_distances(path: Path) -> dict[str, float]:
    """Distances in metres, by label, that the file of a measured layout gives; errors as `read_trims`."""
    given = read_layout_file(path).loudspeakers
    values = {label: _checked(given.get(label, {}), f"{path}: {label}") for label in measured_layout(path).labels}
    return {label: value["distance"] for label, value in values.items() if "distance" in value}


def _checked(given: dict[str, Any], where: str) -> dict[str, float]:
    values = {key: given[key] for key in _RANGES if key in given}
    for key, value in values.items():
        low, high = _RANGES[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"{where}: {key} {value!r}; possible are {low:g} to {high:g}")
    return values
