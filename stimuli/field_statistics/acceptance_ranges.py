"""Hold scenes against the statistics of real recordings: they must be what an em32 would have recorded.

    python -m stimuli.acceptance data/synthetic

The targets are what recordings by real em32 microphones measure (`stimuli.hoastats`): an excerpt of
EigenScape's Beach.1 and four recordings of another em32 (JSAmbisonics). For every band of frequencies: the
energy of each order relative to W, effective rank and diffuseness, with tolerances; and the slope of W's
spectrum. Exit status 1 if a scene does not pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from render.fileio.audio_file import blocks, info
from stimuli.eigenscape.corpus import recording_of
from stimuli.field_statistics.statistics import Statistics, measure

Range = tuple[float, float]


LOW_HZ = 400.0


ORDER_TOLERANCE_DB = (4.5, 3.0)  # below `LOW_HZ`, above


RANK_TOLERANCE = 2.5


DIFFUSENESS_TOLERANCE = 0.2


SLOPE_DB_PER_OCTAVE = (-13.0, -8.0)


SLOPE_TOLERANCE = 1.0


BRIGHT = ("Park", "Woodland")  # birds and leaves lift the high end


@dataclass(frozen=True)
class Target:
    """What real recordings measure in a band: smallest and largest value."""

    low_hz: float
    orders_db: tuple[Range, Range, Range]
    effective_rank: Range
    diffuseness: Range


TARGETS = (
    Target(100, ((-2.4, 0.7), (-15.9, -5.0), (-45.0, -34.1)), (2.8, 4.2), (0.40, 0.58)),
    Target(200, ((-1.6, 1.1), (-3.7, 1.4), (-25.0, -21.5)), (3.4, 5.1), (0.41, 0.53)),
    Target(400, ((-0.5, 0.0), (0.4, 1.2), (-8.7, -3.0)), (4.8, 7.0), (0.40, 0.52)),
    Target(800, ((-1.1, 0.0), (-1.1, 0.0), (0.1, 2.0)), (5.8, 9.3), (0.36, 0.54)),
    Target(1600, ((-1.0, 1.6), (-1.0, 1.0), (-1.0, 1.1)), (5.8, 9.4), (0.41, 0.49)),
    Target(3150, ((-1.2, 1.0), (-1.0, 1.0), (-1.0, 1.0)), (6.2, 8.9), (0.41, 0.57)),
    Target(6300, ((-1.2, 1.2), (-1.2, 1.2), (-1.2, 1.2)), (8.4, 14.2), (0.39, 0.85)),
    Target(12500, ((-2.3, 1.4), (-2.3, 1.4), (-2.3, 1.4)), (12.9, 14.7), (0.72, 0.88)),
)


def faults(found: Statistics, bright: bool = False) -> list[str]:
    """What is not as in real recordings, in sentences; empty: accepted.

    Parameters
    ----------
    found : Statistics
        Of third order; higher orders change the effective rank.
    bright : bool
        Whether birds or leaves make the spectrum flatter than a recording without them.
    """
    told = []

    def hold(what: str, value: float, target: Range, tolerance: float) -> None:
        low, high = target
        if not low - tolerance <= value <= high + tolerance:
            told.append(f"{what} {value:.2f}, real {low:g} to {high:g} ± {tolerance:g}")

    bands = {band.low_hz: band for band in found.bands}
    for target in TARGETS:
        band = bands[target.low_hz]
        where = f"{band.low_hz:g} to {band.high_hz:g} Hz"
        tolerance_db = ORDER_TOLERANCE_DB[target.low_hz >= LOW_HZ]
        for order, (value, wanted) in enumerate(zip(band.order_db, target.orders_db, strict=False), start=1):
            hold(f"{where}: order {order} re W in dB", value, wanted, tolerance_db)
        hold(f"{where}: effective rank", band.effective_rank, target.effective_rank, RANK_TOLERANCE)
        hold(f"{where}: diffuseness", band.diffuseness, target.diffuseness, DIFFUSENESS_TOLERANCE)
    if not bright:
        hold("slope in dB per octave", found.slope_db_per_octave, SLOPE_DB_PER_OCTAVE, SLOPE_TOLERANCE)
    return told


def examine(path: Path) -> list[str]:
    """Faults of a file, of which the first 16 channels are measured."""
    found = measure((block[:16] for block in blocks(path)), info(path).sample_rate_hz)
    recording = recording_of(path)
    return faults(found, recording is not None and recording.scene_class in BRIGHT)
