"""Measures between two scenes in memory, each as a function, and all of them together.

The functions give what the columns of `analysis.metrics.registry` hold; docs/measures.md defines each and says
what it is blind to. The first argument is the reference. All but `compare` take scenes as they are: of one rate,
order and length, and aligned.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from analysis.metrics import covariance, interaural, spatial, spectral
from analysis.metrics.alignment import MIN_CORRELATION, align
from analysis.metrics.framing import SHORTEST, array_reader, check_level
from analysis.metrics.registry import measure
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length
from render.hoa.scene import Scene


def compare(
    reference: Scene, test: Scene, aligned: bool = False, order: int | None = None
) -> dict[str, float | None]:
    """Return all measures of a test, which is aligned with its reference first.

    A test of another rate is resampled to that of the reference, the channels that a test of lower order does not
    have count as silent, and the part in which both overlap is measured.

    Parameters
    ----------
    reference, test : Scene
    aligned : bool
        Take the test as aligned even if it does not have the waveform of the reference, as that of a parametric
        codec or noise.
    order : int, optional
        Measure orders up to this one only, as where a codec keeps the third order of a fourth-order recording.

    Returns
    -------
    dict
        Measure -> value, as ``python -m analysis.objective`` writes them; None where one is not applicable.
        ``lag_samples`` is the delay that was found and taken away.

    Raises
    ------
    InputError
        If the test or `order` is of higher order than the reference, if the test does not have the waveform of the
        reference, if too little overlaps, or if the reference is silent.

    Examples
    --------
    >>> scene = Scene.from_array(0.1 * np.random.default_rng(0).standard_normal((16, 8000)), 44100)
    >>> found = compare(scene, Scene(0.5 * scene.samples, 44100))
    >>> round(found["cov_sum"], 6), round(found["chlvl_db"], 2), found["lag_samples"]
    (0.0, 6.02, 0.0)
    """
    check_level(reference.samples, "reference")
    check_level(test.samples, "test")
    if order is not None and not 0 <= order <= reference.order:
        raise InputError(f"order {order}; the reference has order {reference.order}")
    if order is not None:
        reference, test = (
            Scene(scene.samples[: (order + 1) ** 2], scene.sample_rate_hz) for scene in (reference, test)
        )
    if test.order > reference.order:
        raise InputError(f"test: order {test.order}, the reference has only order {reference.order}")
    rate_hz, samples = reference.sample_rate_hz, test.samples
    if test.sample_rate_hz != rate_hz:
        length = resampled_length(test.length, test.sample_rate_hz, rate_hz)
        parts = resampled([samples], len(samples), test.sample_rate_hz, rate_hz, length)
        samples = np.concatenate(list(parts), axis=1)
    samples = np.pad(samples, ((0, len(reference.samples) - len(samples)), (0, 0)))
    length = samples.shape[1]
    found = align(array_reader(reference.samples), array_reader(samples), reference.length, length)
    if not (found.is_match or aligned or found.level <= covariance.SILENCE):
        raise InputError(
            f"test: does not have the waveform of the reference (correlation {found.correlation:.2f} at the best "
            f"lag, {MIN_CORRELATION} is needed); aligned=True takes it as it is"
        )
    begin, end = max(0, -found.lag), min(reference.length, length - found.lag)
    if end - begin < SHORTEST:
        raise InputError(f"{max(end - begin, 0)} samples overlap; {SHORTEST} are needed")
    cut = [Scene(np.ascontiguousarray(of[:, at : at + end - begin]), rate_hz)
           for of, at in ((reference.samples, begin), (samples, begin + found.lag))]  # fmt: skip
    return measure(*cut) | {"lag_samples": float(found.lag), "align_corr": found.correlation}


def covariance_distance(
    reference: Scene | Float[ndarray, "acn time"], test: Scene | Float[ndarray, "acn time"]
) -> float:
    """Eq. 3 of the paper, Σ_{i<j} |R_ij - R̂_ij|, of two scenes or arrays (acn, time) (``cov_sum``).

    Raises
    ------
    InputError
        If the shapes differ, or if no pair of channels sounds.

    Examples
    --------
    Noise in three channels; one of them is inverted, which changes the sign of two correlations:

    >>> common = np.random.default_rng(0).standard_normal(1000)
    >>> x = np.stack([common, common, common, np.zeros(1000)])
    >>> round(covariance_distance(x, x * [[1], [-1], [1], [1]]), 6)
    4.0
    """
    x, y = (of.samples if isinstance(of, Scene) else np.asarray(of) for of in (reference, test))
    _check_shapes(x, y)
    total, pairs = covariance.correlation_distance(*covariance.moments(x, y).covariances())
    if not pairs:
        raise InputError("no pair of channels sounds in either scene: eq. 3 is not defined")
    return float(total)


def band_covariance_distance(reference: Scene, test: Scene) -> float:
    """Eq. 3 in 24 bands, per pair of channels, mean over the bands (``covband_mean``)."""
    return _one("covband_mean", spatial.evaluate, reference, test)


def mel_distance(reference: Scene, test: Scene) -> float:
    """Distance of the logarithmic mel spectra of all channels, as in training (``mel_train``)."""
    return _one("mel_train", spectral.evaluate, reference, test)


def log_spectral_distance_db(reference: Scene, test: Scene) -> float:
    """Log-spectral distance of all channels in dB (``lsd_db``)."""
    return _one("lsd_db", spectral.evaluate, reference, test)


def level_error_db(reference: Scene, test: Scene) -> float:
    """Mean over the channels of the absolute error of their levels in dB (``chlvl_db``)."""
    return _one("chlvl_db", covariance.evaluate, reference, test)


def si_sdr_db(reference: Scene, test: Scene) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, mean over the channels (``sisdr_mean_db``)."""
    return _one("sisdr_mean_db", covariance.evaluate, reference, test)


def direction_error_deg(reference: Scene, test: Scene) -> float:
    """Error of the direction of arrival in degrees, by DirAC (``doa_deg``).

    Examples
    --------
    A source that moves from the front (X) to the left (Y):

    >>> noise = np.random.default_rng(0).standard_normal(8000)
    >>> front = Scene.from_array(0.1 * np.stack([noise, 0 * noise, 0 * noise, noise]), 44100)
    >>> left = Scene.from_array(0.1 * np.stack([noise, noise, 0 * noise, 0 * noise]), 44100)
    >>> round(direction_error_deg(front, left), 1)
    90.0
    """
    return _one("doa_deg", spatial.evaluate, reference, test)


def diffuseness_error(reference: Scene, test: Scene) -> float:
    """Mean absolute error of the diffuseness, 0 to 1, by DirAC (``diff_mae``)."""
    return _one("diff_mae", spatial.evaluate, reference, test)


def energy_map_correlation(reference: Scene, test: Scene) -> float:
    """Correlation of the energies from all directions; 1 for equal maps (``map_corr``)."""
    return _one("map_corr", spatial.evaluate, reference, test)


def loudspeaker_level_error_db(reference: Scene, test: Scene) -> float:
    """Error of the levels of the 7.1.4 loudspeaker feeds in bands, in dB (``ls_lvl_db``)."""
    return _one("ls_lvl_db", spatial.evaluate, reference, test)


def interaural_level_error_db(reference: Scene, test: Scene) -> float:
    """Error of the level differences between the ears in dB (``ild_db``)."""
    return _one("ild_db", interaural.evaluate, reference, test)


def interaural_time_error_us(reference: Scene, test: Scene) -> float:
    """Error of the time differences between the ears in microseconds (``itd_us``)."""
    return _one("itd_us", interaural.evaluate, reference, test)


def interaural_coherence_error(reference: Scene, test: Scene) -> float:
    """Error of the coherence of the ear signals (``iacc``)."""
    return _one("iacc", interaural.evaluate, reference, test)


Evaluate = Callable[[ndarray, ndarray, int], dict[str, float | None]]


def _one(name: str, evaluate: Evaluate, reference: Scene, test: Scene) -> float:
    _check_shapes(reference.samples, test.samples)
    if reference.sample_rate_hz != test.sample_rate_hz:
        raise InputError(f"test: {test.sample_rate_hz} Hz, the reference has {reference.sample_rate_hz} Hz")
    if reference.length < SHORTEST:
        raise InputError(f"{reference.length} samples; {SHORTEST} are needed")
    value = evaluate(reference.samples, test.samples, reference.sample_rate_hz)[name]
    if value is None:
        raise InputError(f"{name} is not applicable to these scenes: the channels that it needs are silent")
    return value


def _check_shapes(x: ndarray, y: ndarray) -> None:
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] < 2:
        raise InputError(
            f"reference {x.shape}, test {y.shape}: two scenes (channel, time) of one shape are needed, with 2 or "
            "more samples; compare() aligns and cuts them"
        )
