"""Loudness and true peak by Recommendation ITU-R BS.1770-5, for any loudspeaker layout and sample rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view

from render.common.errors import InputError
from render.hoa.layout import Layout
from render.hoa.scene import Feed

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

_OFFSET_LU = -0.691  # annex 1, equation 2
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
_LANES = 16  # channels that are filtered at once, see `render.common.vectors`
_STEPS_PER_BLOCK = 4  # gating blocks of 400 ms, overlapping by 75 %
_SIDE_WEIGHT = 1.41  # annex 3, table 4: about +1.5 dB
_OVERSAMPLING = 4
_HALF_TAPS = 16  # samples on either side; the filter of annex 2 has 6
_PEAK_BLOCK = 2048


def integrated_loudness_lufs(feed: Feed) -> float:
    """Gated loudness of a feed in LUFS (annex 1); -inf if all of the feed lies below the absolute gate.

    Raises
    ------
    InputError
        If the feed is shorter than one gating block of 0.4 s, for which there is `ungated_loudness_lufs`.
    """
    meter = _measured(feed)
    if not meter.gated:
        raise InputError(
            f"feed of {feed.duration_s:.3f} s: gated loudness needs at least 0.4 s; measure it without gating"
        )
    return meter.integrated_lufs()


def ungated_loudness_lufs(feed: Feed) -> float:
    """Loudness of a feed of any length in LUFS, without gating; -inf for silence."""
    return _measured(feed).ungated_lufs()


def _measured(feed: Feed) -> LoudnessMeter:
    meter = LoudnessMeter(feed.layout, feed.sample_rate_hz)
    for start in range(0, feed.length, feed.sample_rate_hz):
        meter.add(feed.samples[:, start : start + feed.sample_rate_hz])
    return meter


class LoudnessMeter:
    """Loudness of a feed that arrives block by block; the lengths of the blocks do not matter.

    Examples
    --------
    >>> from render.hoa.layout import layout
    >>> meter = LoudnessMeter(layout("stereo"), 48000)
    >>> time_s = np.arange(48000) / 48000
    >>> meter.add(0.1 * np.sin(2 * np.pi * 997 * time_s) * np.ones((2, 1)))
    >>> round(meter.integrated_lufs(), 1)
    -20.0
    """

    def __init__(self, layout: Layout, sample_rate_hz: int):
        self._layout = layout
        groups = -(-len(layout.loudspeakers) // _LANES)
        self._weights = np.zeros((groups, _LANES))
        self._weights.flat[: len(layout.loudspeakers)] = channel_weights(layout)
        self._filter = k_weighting(sample_rate_hz)
        self._state = np.zeros((groups, 4 * _LANES))
        self._step = round(0.1 * sample_rate_hz)
        self._frames = np.zeros((self._step, _LANES))
        self._steps: list[float] = []  # weighted energy of each 100 ms
        self._energy, self._filled = 0.0, 0  # of the step that is not yet complete

    @property
    def gated(self) -> bool:
        """Whether the signal so far fills at least one gating block."""
        return len(self._steps) >= _STEPS_PER_BLOCK

    def add(self, block: Float[ndarray, "channel time"]) -> None:
        """Add the next block of the signal; InputError if it has another number of channels than the layout."""
        if len(block) != len(self._layout.loudspeakers):
            raise InputError(
                f"block of {len(block)} channels for the loudness of {self._layout.name}, which has "
                f"{len(self._layout.loudspeakers)}"
            )
        samples = block.T
        while len(samples):
            part, samples = np.split(samples, [self._step - self._filled])
            self._energy += self._weighted_energy(part)
            self._filled += len(part)
            if self._filled == self._step:
                self._steps.append(self._energy)
                self._energy, self._filled = 0.0, 0

    def _weighted_energy(self, samples: Float[ndarray, "time channel"]) -> float:
        """Filter at most a step of the signal and return its energy, weighted and summed over the channels."""
        from render.dsp.weighted_energy import add_energy  # loads Numba, which commands without loudness save

        energy, frames = np.zeros_like(self._weights), self._frames[: len(samples)]
        for group, (state, sums) in enumerate(zip(self._state, energy, strict=True)):
            channels = samples[:, group * _LANES : (group + 1) * _LANES]
            frames[:, : channels.shape[1]] = channels  # the others have no weight
            add_energy(frames.reshape(-1), self._filter, state, sums)
        return float(np.vdot(self._weights, energy))

    def integrated_lufs(self) -> float:
        """Gated loudness so far (annex 1, equations 4 to 7)."""
        if not self.gated:
            return -np.inf
        blocks = np.convolve(self._steps, np.ones(_STEPS_PER_BLOCK), "valid") / (_STEPS_PER_BLOCK * self._step)
        blocks = blocks[blocks > _power(_ABSOLUTE_GATE_LUFS)]
        if not blocks.size:
            return -np.inf
        blocks = blocks[blocks > blocks.mean() * 10 ** (_RELATIVE_GATE_LU / 10)]
        return _lufs(float(blocks.mean()))

    def loudness_lufs(self) -> float:
        """Gated loudness so far, or ungated loudness if there was too little for one gating block."""
        return self.integrated_lufs() if self.gated else self.ungated_lufs()

    def ungated_lufs(self) -> float:
        """Loudness of all samples so far (annex 1, equation 2)."""
        samples = len(self._steps) * self._step + self._filled
        return _lufs((sum(self._steps) + self._energy) / samples) if samples else -np.inf


def _lufs(power: float) -> float:
    return _OFFSET_LU + 10 * float(np.log10(power)) if power > 0 else -np.inf


def _power(loudness_lufs: float) -> float:
    return 10 ** ((loudness_lufs - _OFFSET_LU) / 10)


def channel_weights(layout: Layout) -> Float[ndarray, " channel"]:
    """Weights by position (annex 3, table 4): 1.41 at the sides of the middle layer, 0 for LFE, else 1.

    Examples
    --------
    >>> from render.hoa.layout import layout
    >>> channel_weights(layout("5.1")).tolist()
    [1.0, 1.0, 1.0, 0.0, 1.41, 1.41]
    """
    return np.array(
        [
            0.0
            if speaker.is_lfe
            else _SIDE_WEIGHT
            if abs(speaker.elevation_deg) < 30 and 60 <= abs(speaker.azimuth_deg) <= 120
            else 1.0
            for speaker in layout.loudspeakers
        ]
    )


def k_weighting(sample_rate_hz: int) -> Float[ndarray, "2 6"]:
    """K-weighting filter as second-order sections: high shelf (head), then high-pass (RLB).

    The coefficients follow by the bilinear transform from the analogue filters behind the standard's coefficients
    for 48 kHz (De Man 2014, "Evaluation of implementations of the EBU R128 loudness measurement"), so that the
    response is the same at every sample rate.
    """
    shelf_hz, shelf_q, shelf_db = 1681.974450955533, 0.7071752369554196, 3.999843853973347
    k = np.tan(np.pi * shelf_hz / sample_rate_hz)
    high = 10 ** (shelf_db / 20)
    band = high**0.4996667741545416
    shelf_a0, *shelf_a = _denominator(k, shelf_q)
    shelf_b = [high + band * k / shelf_q + k * k, 2 * (k * k - high), high - band * k / shelf_q + k * k]
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    pass_a0, *pass_a = _denominator(np.tan(np.pi * pass_hz / sample_rate_hz), pass_q)
    # The standard's numerator 1, -2, 1 has a gain of a0 at 48 kHz, which other rates must reproduce
    gain = _denominator(np.tan(np.pi * pass_hz / 48000), pass_q)[0] / pass_a0
    return np.array(
        [
            [*np.divide(shelf_b, shelf_a0), 1.0, *np.divide(shelf_a, shelf_a0)],
            [gain, -2 * gain, gain, 1.0, *np.divide(pass_a, pass_a0)],
        ]
    )


def _denominator(k: float, q: float) -> tuple[float, float, float]:
    """Coefficients of 1 + s/q + s² after the bilinear transform, k = tan(π f0/fs)."""
    return 1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k


def true_peak_dbtp(samples: Float32[ndarray, "channel time"]) -> float:
    """True peak over all channels in dB relative to full scale (annex 2), -inf for silence."""
    meter = TruePeakMeter(len(samples))
    meter.add(samples)
    return meter.true_peak_dbtp()


class TruePeakMeter:
    """True peak of a signal that arrives block by block; the lengths of the blocks do not matter.

    It oversamples four-fold with a longer interpolator than that of annex 2, which is flat within 0.01 dB up to
    0.41 of the sample rate.
    """

    def __init__(self, channels: int):
        from scipy.signal import firwin

        length = 2 * _HALF_TAPS * _OVERSAMPLING
        taps = _OVERSAMPLING * firwin(length + 1, 1 / _OVERSAMPLING, window=("kaiser", 8.0))
        # Phase 0 is the sample itself and needs no filter
        self._between = taps[:-1].reshape(-1, _OVERSAMPLING)[::-1, 1:].astype(np.float32)
        # Upper bound of the peak between samples relative to the largest sample: most blocks need no oversampling
        self._largest_gain = np.abs(self._between).sum(axis=0).max()
        self._rest = np.zeros(
            (channels, _HALF_TAPS), np.float32
        )  # samples whose right neighbours are still missing
        self._peak = 0.0

    def add(self, block: Float32[ndarray, "channel time"]) -> None:
        """Add the next block of the signal."""
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        joined = np.concatenate((self._rest, block), axis=1)
        self._peak = self._peak_between(joined)
        self._rest = joined[:, max(0, joined.shape[1] - 2 * _HALF_TAPS + 1) :]

    def true_peak_dbtp(self) -> float:
        """Peak so far in dB relative to full scale, assuming that silence follows; -inf for silence."""
        peak = self._peak_between(np.pad(self._rest, ((0, 0), (0, _HALF_TAPS))))
        return 20 * float(np.log10(peak)) if peak > 0 else -np.inf

    def _peak_between(self, samples: Float32[ndarray, "channel time"]) -> float:
        """Largest of the peak so far and the values between samples that have enough neighbours on both sides."""
        width, peak = 2 * _HALF_TAPS, self._peak
        for channel in samples:
            for start in range(0, channel.size - width + 1, _PEAK_BLOCK):
                piece = channel[start : start + _PEAK_BLOCK + width - 1]
                if np.abs(piece).max() * self._largest_gain > peak:
                    peak = max(peak, float(np.abs(sliding_window_view(piece, width) @ self._between).max()))
        return peak
