"""Remove the offset of a network's output: a pattern that repeats with every frame of a stage of its decoder.

The biases of a transposed convolution, and whatever of its input does not change, give the same output in
every period of its stride, and so lines at the multiples of the rate of its input (Odena, Dumoulin and Olah
2016 describe such patterns): 44100 / 64 = 689 Hz behind the first stage of the published decoder. The mean
over the periods of 93 ms is the pattern; what a signal has there is lost in 10 Hz on either side. The mean of
the pattern and its first line are left: no level is restored below the bands, and the network codes waveforms
where the first line lies.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.compiled import compiled

REACH = 32  # periods before and after, over which the mean is taken with the weights of a Hann window
_WEIGHTS = np.hanning(2 * REACH + 3)[1:-1].astype(np.float32)


def without_periodic_offset(
    samples: Float32[ndarray, "channel time"], before: int, length: int, period: int
) -> Float32[ndarray, "channel length"]:
    """Subtract the mean period of each channel, apart from its mean and its fundamental.

    Parameters
    ----------
    samples : float32 (channel, time)
        Samples with up to `REACH` periods of what comes before and after them, all in whole periods.
    before, length : int
        Number of samples before those that are returned, and of the latter.
    period : int
        Samples.
    """
    first, count = before // period, length // period
    result = np.empty((len(samples), length), np.float32)
    pattern = np.empty((count, period), np.float32)
    for channel, own in enumerate(samples):  # one at a time stays in the cache
        periods = np.ascontiguousarray(own).reshape(-1, period)
        _mean_periods(periods, first, _WEIGHTS, pattern)
        lines = np.fft.rfft(pattern, axis=1)
        lines[:, :2] = 0
        result[channel] = (periods[first : first + count] - np.fft.irfft(lines, period, axis=1)).reshape(length)
    return result


@compiled(nogil=True)
def _mean_periods(periods, first, weights, means):  # pragma: no cover, compiled
    """Weighted mean of the `periods` (period, sample) around each one from number `first` on, where there are."""
    reach = len(weights) // 2
    for place in range(len(means)):
        row = means[place]
        row[:] = 0
        total = np.float32(0)
        for tap in range(2 * reach + 1):
            at = first + place + tap - reach
            if 0 <= at < len(periods):
                weight, period = weights[tap], periods[at]
                total += weight
                for n in range(len(period)):
                    row[n] += weight * period[n]
        for n in range(len(row)):
            row[n] /= total
