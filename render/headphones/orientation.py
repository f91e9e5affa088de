"""Where a head is turned: constantly, or along a trajectory that a head tracker has recorded.

Angles are in degrees and applied to the head in this order: yaw to the left, pitch upwards, roll to the right
shoulder. For a head that turns, the scene turns the other way.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from scipy.spatial.transform import Rotation, Slerp

from render.common.errors import InputError
from render.hoa.spherical_harmonics import rotation_matrices

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64

_COLUMNS = ("time_s", "yaw_deg", "pitch_deg", "roll_deg")
_STEP = 256  # samples from one exact orientation to the next: 5.3 ms at 48 kHz
_MAX_ROWS = 10_000_000
_STEPS_AT_ONCE = 256


def head_rotation(
    yaw_deg: Float[ndarray, "*time"], pitch_deg: Float[ndarray, "*time"], roll_deg: Float[ndarray, "*time"]
) -> Rotation:
    """Rotation from the axes of the head (front, left, up) to those of the scene."""
    angles = np.stack(np.broadcast_arrays(yaw_deg, -np.asarray(pitch_deg, float), roll_deg), axis=-1)
    return Rotation.from_euler("ZYX", angles, degrees=True)


def scene_matrices(order: int, head: Rotation) -> Float64[ndarray, "*time acn acn"]:
    """Matrices that turn a scene into the axes of the head."""
    return rotation_matrices(order, head.inv().as_matrix())


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Orientations of a head over time, at least one.

    Attributes
    ----------
    times_s : (row,)
        Ascending. Before the first and after the last, the head does not move.
    angles_deg : (row, 3)
        Yaw, pitch, roll.
    """

    times_s: Float64[ndarray, " row"]
    angles_deg: Float64[ndarray, "row 3"]

    @cached_property
    def _between(self) -> Slerp:
        times_s = np.append(self.times_s, self.times_s[-1] + 1.0)  # a single row does not move
        return Slerp(times_s, head_rotation(*np.vstack([self.angles_deg, self.angles_deg[-1]]).T))

    def at(self, times_s: Float[ndarray, " time"]) -> Rotation:
        """Orientations at given times, by spherical linear interpolation between rows (Shoemake 1985)."""
        return self._between(np.clip(times_s, self.times_s[0], self.times_s[-1]))


def read_trajectory(path: Path) -> Trajectory:
    """Read a trajectory from CSV with the columns time_s, yaw_deg and, if need be, pitch_deg and roll_deg.

    Raises
    ------
    InputError
        If the file is missing or no such table, a value is not a finite number, or the times do not ascend.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file)
            header = [name.strip() for name in next(table, [])]
            unknown = sorted(set(header) - set(_COLUMNS))
            if unknown or header[:2] != list(_COLUMNS[:2]) or len(set(header)) < len(header):
                raise InputError(f"{path}: the first line is {','.join(header)!r}, needed is {','.join(_COLUMNS)}")
            rows = [_row(words, header, path, number) for number, words in enumerate(table, start=2) if words]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV ({error})") from None
    if not 1 <= len(rows) <= _MAX_ROWS:
        raise InputError(f"{path}: {len(rows)} rows; possible are 1 to {_MAX_ROWS}")
    values = np.zeros((len(rows), len(_COLUMNS)))
    values[:, [_COLUMNS.index(name) for name in header]] = rows
    late = np.flatnonzero(np.diff(values[:, 0]) <= 0)
    if late.size:
        raise InputError(f"{path}: row {late[0] + 3}: its time is not after that of the row before")
    return Trajectory(values[:, 0], values[:, 1:])


def _row(words: list[str], header: list[str], path: Path, number: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != len(header) or not np.isfinite(values).all() or max(map(abs, values)) > 1e6:
        raise InputError(f"{path}: row {number}: {','.join(words)!r} is not {len(header)} numbers")
    return values


def turned(
    blocks: Iterable[Float32[ndarray, "acn time"]], trajectory: Trajectory, order: int, sample_rate_hz: int
) -> Iterator[Float32[ndarray, "acn time"]]:
    """Turn a scene into the axes of a moving head; the lengths of the blocks do not matter.

    Every 256 samples, counted from the first, the orientation is exact; in between, both neighbours are
    cross-faded, so that no gain jumps.
    """
    waiting, position = np.zeros(((order + 1) ** 2, 0), np.float32), 0
    for block in blocks:
        waiting = np.concatenate([waiting, block], axis=1)
        while waiting.shape[1] >= _STEP:
            steps = min(waiting.shape[1] // _STEP, _STEPS_AT_ONCE)
            part, waiting = waiting[:, : steps * _STEP], waiting[:, steps * _STEP :]
            yield _turned_steps(part, trajectory, order, position, sample_rate_hz)
            position += part.shape[1]
    if left := waiting.shape[1]:
        padded = np.pad(waiting, ((0, 0), (0, _STEP - left)))
        yield _turned_steps(padded, trajectory, order, position, sample_rate_hz)[:, :left]


def _turned_steps(
    samples: Float32[ndarray, "acn time"], trajectory: Trajectory, order: int, position: int, sample_rate_hz: int
) -> Float32[ndarray, "acn time"]:
    """Turn a whole number of steps, which begin at sample number `position`."""
    channels, length = samples.shape
    times_s = (position + np.arange(0, length + 1, _STEP)) / sample_rate_hz
    matrices = scene_matrices(order, trajectory.at(times_s)).astype(np.float32)
    steps = samples.reshape(channels, -1, _STEP).transpose(1, 0, 2)
    before, after = matrices[:-1] @ steps, matrices[1:] @ steps
    share = np.arange(_STEP, dtype=np.float32) / _STEP
    return (before + share * (after - before)).transpose(1, 0, 2).reshape(channels, length)
