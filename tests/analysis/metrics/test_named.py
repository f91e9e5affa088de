"""Measures as functions: each is its column; how two scenes in memory are aligned; what is refused."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from analysis.metrics import named
from analysis.metrics.registry import measure
from analysis.metrics.selftest import scene
from listening.conditions.anchors import low_anchor
from render.common.errors import InputError
from render.hoa.scene import Scene

REFERENCE = scene(0.3)
TEST = low_anchor(Scene(REFERENCE.samples[[0, 2, 1, *range(3, 16)]], REFERENCE.sample_rate_hz))
COLUMNS = {
    "covariance_distance": "cov_sum", "band_covariance_distance": "covband_mean", "mel_distance": "mel_train",
    "log_spectral_distance_db": "lsd_db", "level_error_db": "chlvl_db", "si_sdr_db": "sisdr_mean_db",
    "direction_error_deg": "doa_deg", "diffuseness_error": "diff_mae", "energy_map_correlation": "map_corr",
    "loudspeaker_level_error_db": "ls_lvl_db", "interaural_level_error_db": "ild_db",
    "interaural_time_error_us": "itd_us", "interaural_coherence_error": "iacc",
}  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    return measure(REFERENCE, TEST)


@pytest.mark.parametrize("name", COLUMNS)
def test_each_function_is_its_column(measured, name):
    assert getattr(named, name)(REFERENCE, TEST) == pytest.approx(measured[COLUMNS[name]], rel=1e-6, abs=1e-9)
    assert f"``{COLUMNS[name]}``" in getattr(named, name).__doc__


def test_eq_3_of_two_arrays_is_that_of_the_paper():
    x, y = REFERENCE.samples[:4].astype(float), TEST.samples[:4].astype(float)
    expected = np.abs(np.corrcoef(x) - np.corrcoef(y))[np.triu_indices(4, 1)].sum()
    assert named.covariance_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_two_scenes_are_aligned_padded_and_resampled(measured):
    assert named.compare(REFERENCE, TEST) == measured | {
        "lag_samples": 0.0, "align_corr": pytest.approx(named.compare(REFERENCE, TEST)["align_corr"]),
    }  # fmt: skip
    late = Scene(np.pad(REFERENCE.samples, ((0, 0), (300, 0))), REFERENCE.sample_rate_hz)
    found = named.compare(REFERENCE, late)
    assert (found["lag_samples"], found["cov_sum"]) == (300.0, 0.0)
    first_order = Scene(REFERENCE.samples[:4], REFERENCE.sample_rate_hz)
    assert named.compare(REFERENCE, first_order)["ord0_db"] == 0
    assert named.compare(REFERENCE, first_order)["ord3_db"] < -20
    up = resample_poly(TEST.samples, 160, 147, axis=1, window=("kaiser", 14.0)).astype(np.float32)
    found = named.compare(REFERENCE, Scene(up, 48_000))
    assert found["lag_samples"] == 0
    assert found["chlvl_db"] == pytest.approx(measured["chlvl_db"], abs=0.05)


def test_orders_above_the_chosen_one_do_not_count():
    first, second = (Scene(of.samples[:4], of.sample_rate_hz) for of in (REFERENCE, TEST))
    assert named.compare(REFERENCE, TEST, order=1) == named.compare(first, second)
    assert named.compare(REFERENCE, second, order=1) == named.compare(first, second)
    for order in (-1, 4):
        with pytest.raises(InputError, match=f"order {order}; the reference has order 3"):
            named.compare(REFERENCE, TEST, order=order)


def test_what_cannot_be_compared_is_refused():
    rate = REFERENCE.sample_rate_hz
    noise = Scene(np.random.default_rng(9).standard_normal((16, 9000)).astype(np.float32), rate)
    silent = Scene(np.zeros((4, 4000), np.float32), rate)
    loud = Scene(REFERENCE.samples.copy(), rate)
    loud.samples[2, 70] = 2e12
    for use, message in (
        (lambda: named.compare(Scene(REFERENCE.samples[:4], rate), REFERENCE), "has only order 1"),
        (lambda: named.compare(REFERENCE, noise), "does not have the waveform"),
        (lambda: named.compare(REFERENCE, Scene(TEST.samples[:, :2000], rate)), "2000 samples overlap"),
        (lambda: named.compare(silent, silent), "the reference is silent"),
        (lambda: named.compare(REFERENCE, loud), "test: 2e\\+12 in channel 2 at sample 70; .* up to 1e\\+12"),
        (lambda: named.mel_distance(loud, REFERENCE), "reference: 2e\\+12 in channel 2 at sample 70"),
        (lambda: named.mel_distance(REFERENCE, Scene(TEST.samples[:, 1:], rate)), "of one shape are needed"),
        (lambda: named.mel_distance(REFERENCE, Scene(TEST.samples, 48_000)), "48000 Hz, the reference has 44100"),
        (lambda: named.si_sdr_db(silent, silent), "sisdr_mean_db is not applicable"),
        (lambda: named.covariance_distance(silent, silent), "eq. 3 is not defined"),
        (lambda: named.covariance_distance(np.ones(5), np.ones(5)), "of one shape are needed"),
    ):
        with pytest.raises(InputError, match=message):
            use()
    assert named.compare(REFERENCE, noise, aligned=True)["cov_sum"] > 1
