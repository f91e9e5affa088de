"""What a condition makes of the reference scene, and what it says about itself beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from render.hoa.scene import Scene


@dataclass(frozen=True)
class Rendition:
    """A condition applied to a scene.

    Attributes
    ----------
    scene : Scene
        Of the reference's rate and length, aligned with it to the sample.
    payload : bytes or None
        What a codec would transmit, a complete file; its size is the measured bit rate.
    suffix : str
        File suffix of the payload.
    facts : dict
        What was measured on the way; JSON values.
    """

    scene: Scene
    payload: bytes | None = None
    suffix: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """What a condition says about its renditions; `listening.stimulus_build.quality_gate` holds it to that.

    Attributes
    ----------
    channels : int or None
        Only the first so many channels sound; None: all that sound in the reference.
    constant_kbps : float or None
        Constant bit rate. A condition without it is measured, and its rate is never an error.
    low_pass_hz : float or None
        The reference filtered to the mask of the BS.1534-3 anchors at this cut-off.
    waveform : bool
        Whether it follows the reference's waveform, so that a lag or swapped channels would show.
    coder : bool
        Whether it is a coder, which may be late by what cannot be taken out where its layers differ in delay,
        and may let loud channels leak, also inverted, into soft ones.
    may_be_silent : bool
        Whether channels that sound in the reference may be silent.
    """

    channels: int | None = None
    constant_kbps: float | None = None
    low_pass_hz: float | None = None
    waveform: bool = True
    coder: bool = False
    may_be_silent: bool = False


@dataclass(frozen=True)
class Condition:
    """How to make a rendition, and everything that its result depends on besides the reference.

    Attributes
    ----------
    id : str
    make : callable
        Scene -> Rendition.
    parameters : dict
        What the result depends on besides the reference; JSON values.
    declared : Declared
    of_mixture : bool
        Whether it is made from the reference with its foreground objects mixed in, as BS.1534-3 defines the
        low-pass anchors. All others are made from the scene alone and get the objects afterwards.
    """

    id: str
    make: Callable[[Scene], Rendition]
    parameters: dict[str, Any]
    declared: Declared = Declared()
    of_mixture: bool = False


def measured_lag(reference: Scene, test: Scene, reach: int) -> int:
    """Samples by which `test` comes after `reference`: maximum of the cross-correlation of all channels.

    Looked for within ±`reach` samples; 0 if the two do not resemble each other (correlation under 0.2),
    as a rendition without waveform match has no lag that could be measured.
    """
    correlation, energy = _correlation(reference, test, reach)
    best = int(np.argmax(correlation))
    return best - reach if energy > 0 and correlation[best] > 0.2 * energy else 0


def _correlation(reference: Scene, test: Scene, reach: int) -> tuple[np.ndarray, float]:
    """Cross-correlation at lags -reach .. reach, summed over channels, and the reference's and test's energy."""
    inner = slice(reach, reference.length - reach)
    if reach <= 16:
        shifted = (slice(lag, reference.length - 2 * reach + lag) for lag in range(2 * reach + 1))
        correlation = np.array(
            [float(np.vdot(reference.samples[:, inner], test.samples[:, part])) for part in shifted]
        )
    else:
        size = 1 << (reference.length + reach).bit_length()
        correlation = np.zeros(2 * reach + 1)
        for channel, other in zip(reference.samples, test.samples, strict=True):
            padded = np.zeros(size)
            padded[inner] = channel[inner]
            product = np.fft.irfft(np.fft.rfft(padded).conj() * np.fft.rfft(other, size), size)
            correlation += np.concatenate([product[-reach:], product[: reach + 1]])
    energy = np.linalg.norm(reference.samples[:, inner]) * np.linalg.norm(test.samples[:, inner])
    return correlation, float(energy)


def aligned(reference: Scene, test: Scene, reach: int) -> tuple[Scene, int]:
    """Shift `test` back by the lag that is measured within ±`reach` samples; also return the lag.

    What is shifted in at the ends comes from the other end: the rolls around an excerpt leave room for it.
    """
    lag = measured_lag(reference, test, reach)
    return Scene(np.roll(test.samples, -lag, axis=1), test.sample_rate_hz), lag
