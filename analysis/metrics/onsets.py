"""Sudden beginnings of sounds: what a codec adds before them, and what it makes of them.

Frames and noise that follow levels in slots begin earlier than the sound that they belong to. The ear masks what
comes up to about 2 ms before an attack, and some of what comes up to 20 ms before it. Measured on W with a first
difference (6 dB per octave), so that rumble does not hide the attack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from analysis.metrics.framing import CONTEXT, Segment, accumulate

STEP = 48
"""Samples whose mean power is one value: 1 ms at 48 kHz. A segment has a whole number of them."""
INTERVALS_MS = ((0, 2), (2, 10), (10, 25), (25, 50))
"""Intervals before an onset."""
BEFORE_MS = 50
ONSET_DB = 20.0
"""Rise of one step over the mean of the `BEFORE_MS` before it that makes an onset."""
RANGE_DB = 40.0
"""Attacks that are weaker than the loudest by more than this are left out."""
FLOOR_DB = -80.0
LIMIT_DB = 40.0
"""Levels of attacks differ by this at most: an attack that is lost."""


@dataclass(frozen=True, eq=False)
class StepPowers:
    """Mean power of every step of the reference and of the test: 8 bytes for each of them and millisecond."""

    power: Float64[ndarray, "scene step"]
    sample_rate_hz: int

    def __add__(self, other: StepPowers) -> StepPowers:
        return StepPowers(np.concatenate([self.power, other.power], axis=1), self.sample_rate_hz)


@dataclass(frozen=True, eq=False)
class Steps:
    """Mean power of W's first difference in steps of one segment."""

    power: Float64[ndarray, " step"]
    sample_rate_hz: int


def describe(segment: Segment) -> Steps:
    """Return the powers of the steps of a segment; a last step that is not full is left out."""
    samples = segment.samples.shape[1] // STEP * STEP
    difference = np.diff(segment.extended[0, CONTEXT - 1 : CONTEXT + samples].astype(np.float64))
    return Steps(np.square(difference).reshape(-1, STEP).mean(axis=1), segment.sample_rate_hz)


def compare(reference: Steps, test: Steps) -> StepPowers:
    """Put the powers of a segment side by side."""
    return StepPowers(np.stack([reference.power, test.power]), reference.sample_rate_hz)


def _steps(milliseconds: float, sample_rate_hz: int) -> int:
    return round(milliseconds * sample_rate_hz / 1000 / STEP)


def onsets(power: Float64[ndarray, " step"], sample_rate_hz: int) -> tuple[Int[ndarray, " onset"], ndarray]:
    """Find the onsets in a series of step powers.

    An onset is a step `ONSET_DB` above the mean of the `BEFORE_MS` before it, unless another such step comes in
    that time. Its attack is the loudest of the steps in the `BEFORE_MS` that begin with it.

    Returns
    -------
    onset : int (onset,)
        Numbers of the steps.
    attack : float (onset,)
        Powers of the attacks, none of them weaker than the strongest by more than `RANGE_DB`.
    """
    reach = _steps(BEFORE_MS, sample_rate_hz)
    if len(power) < 2 * reach or not power.any():
        return np.zeros(0, np.int64), np.zeros(0)
    total = np.concatenate([[0.0], np.cumsum(power)])
    before = np.maximum(total[reach:-reach] - total[: -2 * reach], 0) / reach
    quiet = power.max() * 10 ** ((FLOOR_DB - ONSET_DB) / 10)
    rises = (
        np.flatnonzero(power[reach : len(power) - reach + 1] > (before + quiet) * 10 ** (ONSET_DB / 10)) + reach
    )
    first = rises[np.diff(rises, prepend=-reach - 1) > reach]
    attack = np.array([power[step : step + reach].max() for step in first])
    strong = attack >= attack.max(initial=0) * 10 ** (-RANGE_DB / 10)
    return first[strong], attack[strong]


def conclude(sums: StepPowers) -> dict[str, float | None]:
    """Return the pre-echo in each of `INTERVALS_MS`, and the level error of the attacks.

    Returns
    -------
    dict
        ``pre_<ms>_db``, named after the end of the interval that is farther from the onset: power of the test
        over that of the reference in the interval, re the reference's attack, mean over the onsets and at least
        `FLOOR_DB`. An onset where the test is the weaker counts 0. ``attack_db``: difference of the levels in the
        `BEFORE_MS` from an onset on, at most `LIMIT_DB`, mean of the absolute values. None if the reference has no
        onset.
    """
    reference, test = sums.power
    first, attack = onsets(reference, sums.sample_rate_hz)
    found: dict[str, float | None] = {}
    for near, far in INTERVALS_MS:
        begin, end = (_steps(of, sums.sample_rate_hz) for of in (far, near))
        excess = [(test - reference)[step - begin : step - end].mean() for step in first]
        mean = float((np.maximum(excess, 0) / attack).mean()) if len(first) else None
        found[f"pre_{far}_db"] = None if mean is None else 10 * float(np.log10(max(mean, 10 ** (FLOOR_DB / 10))))
    found["attack_db"] = None
    if len(first):
        reach = _steps(BEFORE_MS, sums.sample_rate_hz)
        levels = np.array([sums.power[:, step : step + reach].mean(axis=1) for step in first])
        ratio = np.maximum(levels[:, 1], 1e-30) / levels[:, 0]
        found["attack_db"] = float(np.minimum(np.abs(10 * np.log10(ratio)), LIMIT_DB).mean())
    return found


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the pre-echo of a scene in memory; see `conclude`.

    Parameters
    ----------
    reference, test : float32 (acn, time)
        Aligned ACN/SN3D scenes of equal shape.
    sample_rate_hz : int

    Raises
    ------
    ValueError
        If the shapes differ, or if the scenes are shorter than `analysis.metrics.framing.SHORTEST`.
    """
    return conclude(accumulate(describe, compare, reference, test, sample_rate_hz))
