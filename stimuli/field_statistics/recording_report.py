"""The statistics of a recording as a table for the terminal."""

from __future__ import annotations

from stimuli.field_statistics.statistics import Statistics


def report(measured: Statistics) -> str:
    """Lines of text: properties of the whole recording, then one line for each band of frequencies."""
    errors = ", ".join(f"{name} {error:.2f}" for name, error in measured.convention_errors.items())
    if measured.order == 1:
        errors += "; the channel order can be told from second order upwards"
    lines = [
        f"{measured.channels} channels, order {measured.order}, {measured.sample_rate_hz} Hz, "
        f"{measured.length / measured.sample_rate_hz:.2f} s",
        f"convention       {measured.convention}  (error of each, 0 fits: {errors})",
        f"level of W       {measured.level_dbfs:.1f} dBFS rms, peak of all channels {measured.peak_dbfs:.1f} dBFS",
        f"spectrum of W    {measured.slope_db_per_octave:+.1f} dB/octave, 100 Hz to 10 kHz",
        f"orders re W      {_joined(measured.order_db)} dB (orders 1 to {measured.order}, broadband)",
        f"correlation      mean |R| {measured.mean_correlation:.3f}, largest {measured.max_correlation:.2f}",
        f"order filters    {_corners(measured)}",
        f"self-noise       {_noise(measured)}",
        "",
        f"{'band in Hz':>14}  {'W dBFS':>7}  {'rank':>5}  {'diffuse':>7}  orders 1 to {measured.order} re W in dB",
    ]
    for band in measured.bands:
        edges = f"{band.low_hz:g} to {band.high_hz:g}"
        lines.append(
            f"{edges:>14}  {band.level_dbfs:7.1f}  {band.effective_rank:5.1f}  {band.diffuseness:7.2f}  "
            + _joined(band.order_db)
        )
    return "\n".join(lines)


def _joined(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:6.1f}" for value in values)


def _corners(measured: Statistics) -> str:
    if not measured.corners_hz:
        return "none seen"
    corners = ", ".join(f"order {n} from {corner:.0f} Hz" for n, corner in measured.corners_hz.items())
    return f"{corners} (-3 dB, Butterworth of order n + 2)"


def _noise(measured: Statistics) -> str:
    if measured.self_noise_dbfs_hz is None:
        return "hidden by the sound"
    return f"at most {measured.self_noise_dbfs_hz:.1f} dBFS/Hz per capsule, if the microphone was an em32"
