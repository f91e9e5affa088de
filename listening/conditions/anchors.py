"""``la`` and ``ma``: the low-pass anchors of MUSHRA tests (ITU-R BS.1534-3, clause 5.1) at 3.5 kHz and 7 kHz.

The standard's mask for the low anchor allows a ripple of ±0.1 dB up to 3.5 kHz and demands an attenuation of at
least 25 dB at 4 kHz and 50 dB at 4.5 kHz. For the mid anchor it gives only the cut-off; here the mid anchor is the
same filter an octave higher.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from render.common.errors import InputError
from render.hoa.scene import Scene

LOW_ANCHOR_HZ = 3500.0
MID_ANCHOR_HZ = 7000.0
ATTENUATION_DB = 80.0  # design value of the stop band; the pass band's ripple is then ±0.001 dB
TRANSITION = 8 / 7  # stop-band edge over cut-off: 4 kHz for 3.5 kHz, the first step of the mask


def low_pass_taps(cutoff_hz: float, sample_rate_hz: int) -> Float64[ndarray, " tap"]:
    """Impulse response of the anchor's low-pass filter: linear phase, an odd number of taps, gain 1 at 0 Hz.

    A sinc with a Kaiser window. The pass band reaches up to `cutoff_hz`, the stop band begins at 8/7 of it and is
    at least 79 dB down.

    Raises
    ------
    InputError
        If the stop band does not begin below half the sample rate.
    """
    from scipy.signal import firwin, kaiserord  # takes 0.4 s to import, which reading a plan saves

    stop_hz = TRANSITION * cutoff_hz
    if not 0 < stop_hz < sample_rate_hz / 2:
        need = f"needs a sample rate above {2 * stop_hz:g} Hz"
        raise InputError(f"the low-pass at {cutoff_hz:g} Hz {need}, the scene has {sample_rate_hz} Hz")
    taps, beta = kaiserord(ATTENUATION_DB, (stop_hz - cutoff_hz) / (sample_rate_hz / 2))
    return firwin(taps | 1, (cutoff_hz + stop_hz) / 2, window=("kaiser", beta), fs=sample_rate_hz)


def low_pass(scene: Scene, cutoff_hz: float = LOW_ANCHOR_HZ) -> Scene:
    """Low-pass filter every channel; the length and the position in time stay as they are.

    The filter's delay is a whole number of samples and is compensated, so the lag is zero. The scene is taken as
    silent beyond its ends, so an end that does not fade by itself fades over half the filter's length (5 ms for
    the low anchor).

    Parameters
    ----------
    scene : Scene
    cutoff_hz : float
        Upper edge of the pass band: ``LOW_ANCHOR_HZ``, ``MID_ANCHOR_HZ`` or another.
    """
    from scipy.signal import oaconvolve

    taps = low_pass_taps(cutoff_hz, scene.sample_rate_hz)
    filtered = np.empty_like(scene.samples)
    for channel, output in zip(scene.samples, filtered, strict=True):
        output[:] = oaconvolve(channel.astype(np.float64), taps, mode="same")
    return Scene(filtered, scene.sample_rate_hz)


def low_anchor(scene: Scene) -> Scene:
    """Low anchor of a scene: low-passed at 3.5 kHz by the mask of BS.1534-3.

    Examples
    --------
    >>> click = np.zeros((1, 4800))
    >>> click[0, 2400] = 1
    >>> spectrum = np.abs(np.fft.rfft(low_anchor(Scene.from_array(click, 48000)).samples[0]))
    >>> spectrum[[300, 400]].round(3).tolist()  # 3 and 4 kHz
    [1.0, 0.0]
    """
    return low_pass(scene, LOW_ANCHOR_HZ)


def mid_anchor(scene: Scene) -> Scene:
    """Mid anchor of a scene: the same filter at 7 kHz."""
    return low_pass(scene, MID_ANCHOR_HZ)


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that low-passes the reference, its foreground objects included."""
    cutoff_hz = {"la": LOW_ANCHOR_HZ, "ma": MID_ANCHOR_HZ}[condition_id.text]
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: Rendition(low_pass(scene, cutoff_hz)),
        {"cutoff_hz": cutoff_hz},
        ExpectedProperties(low_pass_hz=cutoff_hz),
        applies_to_mixture=True,
    )


KIND = ConditionKind(create, (IdForm("la"), IdForm("ma")))
