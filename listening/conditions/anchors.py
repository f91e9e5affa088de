"""The low-pass anchors of MUSHRA tests (ITU-R BS.1534-3, clause 5.1): 3.5 kHz, and the mid anchor of 7 kHz.

The mask for the low anchor: up to 3.5 kHz a ripple of at most ±0.1 dB, at 4 kHz at least 25 dB down, at
4.5 kHz at least 50 dB. For the mid anchor the standard gives the cut-off alone; here it is the same filter
an octave higher.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.signal import firwin, kaiserord, oaconvolve

from render.common.errors import InputError
from render.hoa.scene import Scene

LOW_ANCHOR_HZ = 3500.0
MID_ANCHOR_HZ = 7000.0
ATTENUATION_DB = 80.0  # design value of the stop band, and so the pass band's ripple is ±0.001 dB
TRANSITION = 8 / 7  # stop band edge over cut-off: 4 kHz for 3.5 kHz, where the mask's first step is


def low_pass_taps(cutoff_hz: float, sample_rate_hz: int) -> Float64[ndarray, " tap"]:
    """Impulse response of the anchor's low-pass filter: linear phase, an odd number of taps, gain 1 at 0 Hz.

    Sinc with a Kaiser window; pass band up to `cutoff_hz`, stop band from 8/7 of it, at least 79 dB down.

    Raises
    ------
    InputError
        If the stop band would not begin below half the sample rate.
    """
    stop_hz = TRANSITION * cutoff_hz
    if not 0 < stop_hz < sample_rate_hz / 2:
        need = f"needs a sample rate above {2 * stop_hz:g} Hz"
        raise InputError(f"low-pass at {cutoff_hz:g} Hz {need}, the scene has {sample_rate_hz} Hz")
    taps, beta = kaiserord(ATTENUATION_DB, (stop_hz - cutoff_hz) / (sample_rate_hz / 2))
    return firwin(taps | 1, (cutoff_hz + stop_hz) / 2, window=("kaiser", beta), fs=sample_rate_hz)


def low_pass(scene: Scene, cutoff_hz: float = LOW_ANCHOR_HZ) -> Scene:
    """Low-pass filter every channel; length and position in time stay as they are.

    The filter's delay is a whole number of samples and is taken out, so the lag is zero. Beyond its ends
    the scene counts as silence: over half the filter's length (5 ms for the low anchor) an end that does
    not fade fades.

    Parameters
    ----------
    scene : Scene
    cutoff_hz : float
        Upper edge of the pass band: ``LOW_ANCHOR_HZ``, ``MID_ANCHOR_HZ`` or another.
    """
    taps = low_pass_taps(cutoff_hz, scene.sample_rate_hz)
    filtered = np.empty_like(scene.samples)
    for channel, output in zip(scene.samples, filtered, strict=True):
        output[:] = oaconvolve(channel.astype(np.float64), taps, mode="same")
    return Scene(filtered, scene.sample_rate_hz)
