"""Print what an Ambisonic recording says about itself.

Order, channel order and normalisation (with the evidence), the corner frequencies of the microphone's order
filters, its self-noise, and per band of frequencies: the energy of each order relative to W, the effective
rank of the channels and the diffuseness. The file is read block by block and not changed.
"""

from __future__ import annotations

from jaxtyping import Float32
from numpy import ndarray

from stimuli.field_statistics.statistics import Statistics, measure


def statistics(samples: Float32[ndarray, "acn time"], sample_rate_hz: int) -> Statistics:
    """Statistics of a scene in memory; see `stimuli.field_statistics.statistics.Statistics`.

    Raises
    ------
    InputError
        If no order has that many channels, or the scene is silent or shorter than 0.1 s.
    """
    return measure([samples], sample_rate_hz)


def table(found: Statistics) -> str:
    """The statistics as text."""
    errors = ", ".join(f"{name} {error:.2f}" for name, error in found.convention_errors.items())
    if found.order == 1:
        errors += "; the order of the channels shows from second order on"
    lines = [
        f"{found.channels} channels, order {found.order}, {found.sample_rate_hz} Hz, "
        f"{found.frames / found.sample_rate_hz:.2f} s",
        f"convention       {found.convention}  (error of each, 0 fits: {errors})",
        f"level of W       {found.level_dbfs:.1f} dBFS rms, peak of all channels {found.peak_dbfs:.1f} dBFS",
        f"spectrum of W    {found.slope_db_per_octave:+.1f} dB/octave, 100 Hz to 10 kHz",
        f"orders re W      {_joined(found.order_db)} dB (orders 1 to {found.order}, broadband)",
        f"correlation      mean |R| {found.mean_correlation:.3f}, largest {found.max_correlation:.2f}",
        f"order filters    {_corners(found)}",
        f"self-noise       {_noise(found)}",
        "",
        f"{'band in Hz':>14}  {'W dBFS':>7}  {'rank':>5}  {'diffuse':>7}  orders 1 to {found.order} re W in dB",
    ]
    for band in found.bands:
        edges = f"{band.low_hz:g} to {band.high_hz:g}"
        lines.append(
            f"{edges:>14}  {band.level_dbfs:7.1f}  {band.effective_rank:5.1f}  {band.diffuseness:7.2f}  "
            + _joined(band.order_db)
        )
    return "\n".join(lines)


def _joined(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:6.1f}" for value in values)


def _corners(found: Statistics) -> str:
    if not found.corners_hz:
        return "none seen"
    corners = ", ".join(f"order {n} from {corner:.0f} Hz" for n, corner in found.corners_hz.items())
    return f"{corners} (-3 dB, Butterworth of order n + 2)"


def _noise(found: Statistics) -> str:
    if found.self_noise_dbfs_hz is None:
        return "hidden by the sound"
    return f"at most {found.self_noise_dbfs_hz:.1f} dBFS/Hz per capsule, if the microphone was an em32"
