"""What recordings by real em32 microphones measure, and where a scene deviates from it.

The ranges cover an excerpt of EigenScape's Beach.1 and four recordings by another em32 (JSAmbisonics): in every
band of frequencies the energy of each order relative to W, the effective rank and the diffuseness; and the slope
of W's long-term spectrum. Each range is widened by a tolerance on either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from render.fileio.scene_file import scene_blocks, scene_info
from stimuli.eigenscape.corpus import recording_of
from stimuli.field_statistics.statistics import Statistics, measure

Range = tuple[float, float]

LOW_HZ = 400.0
ORDER_TOLERANCE_DB = (4.5, 3.0)  # in bands below `LOW_HZ`, in bands above
RANK_TOLERANCE = 2.5
DIFFUSENESS_TOLERANCE = 0.2
SLOPE_DB_PER_OCTAVE = (-13.0, -8.0)
SLOPE_TOLERANCE = 1.0
BRIGHT_CLASSES = ("Park", "Woodland")  # birds and leaves raise the high frequencies


@dataclass(frozen=True)
class BandRange:
    """Smallest and largest values that real recordings measure in the band that begins at `low_hz`."""

    low_hz: float
    orders_db: tuple[Range, Range, Range]
    effective_rank: Range
    diffuseness: Range


BAND_RANGES = (
    BandRange(100, ((-2.4, 0.7), (-15.9, -5.0), (-45.0, -34.1)), (2.8, 4.2), (0.40, 0.58)),
    BandRange(200, ((-1.6, 1.1), (-3.7, 1.4), (-25.0, -21.5)), (3.4, 5.1), (0.41, 0.53)),
    BandRange(400, ((-0.5, 0.0), (0.4, 1.2), (-8.7, -3.0)), (4.8, 7.0), (0.40, 0.52)),
    BandRange(800, ((-1.1, 0.0), (-1.1, 0.0), (0.1, 2.0)), (5.8, 9.3), (0.36, 0.54)),
    BandRange(1600, ((-1.0, 1.6), (-1.0, 1.0), (-1.0, 1.1)), (5.8, 9.4), (0.41, 0.49)),
    BandRange(3150, ((-1.2, 1.0), (-1.0, 1.0), (-1.0, 1.0)), (6.2, 8.9), (0.41, 0.57)),
    BandRange(6300, ((-1.2, 1.2), (-1.2, 1.2), (-1.2, 1.2)), (8.4, 14.2), (0.39, 0.85)),
    BandRange(12500, ((-2.3, 1.4), (-2.3, 1.4), (-2.3, 1.4)), (12.9, 14.7), (0.72, 0.88)),
)


def deviations(measured: Statistics, bright: bool = False) -> list[str]:
    """Sentences about what lies outside the ranges of real recordings; an accepted scene has none.

    Parameters
    ----------
    measured : Statistics
        Of third order; at higher orders the effective rank is another one.
    bright : bool
        Whether birds or leaves make the spectrum flatter than that of other scenes, so that its slope is not held
        against the range.
    """
    sentences = []

    def check(what: str, value: float, real: Range, tolerance: float) -> None:
        low, high = real
        if not low - tolerance <= value <= high + tolerance:
            sentences.append(f"{what} {value:.2f}, real {low:g} to {high:g} ± {tolerance:g}")

    bands = {band.low_hz: band for band in measured.bands}
    for real in BAND_RANGES:
        band = bands[real.low_hz]
        where = f"{band.low_hz:g} to {band.high_hz:g} Hz"
        tolerance_db = ORDER_TOLERANCE_DB[real.low_hz >= LOW_HZ]
        for order, (value_db, range_db) in enumerate(zip(band.order_db, real.orders_db, strict=False), start=1):
            check(f"{where}: order {order} re W in dB", value_db, range_db, tolerance_db)
        check(f"{where}: effective rank", band.effective_rank, real.effective_rank, RANK_TOLERANCE)
        check(f"{where}: diffuseness", band.diffuseness, real.diffuseness, DIFFUSENESS_TOLERANCE)
    if not bright:
        check("slope in dB per octave", measured.slope_db_per_octave, SLOPE_DB_PER_OCTAVE, SLOPE_TOLERANCE)
    return sentences


def file_deviations(path: Path) -> list[str]:
    """`deviations` of the first 16 channels of a file; the class follows from its name."""
    measured = measure((block[:16] for block in scene_blocks(path)), scene_info(path).sample_rate_hz)
    recording = recording_of(path)
    return deviations(measured, recording is not None and recording.scene_class in BRIGHT_CLASSES)
