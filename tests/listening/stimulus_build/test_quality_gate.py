"""The quality gate: each defect that a stimulus may have is made, measured and named; what is right passes."""

import re

import numpy as np
import pytest
from scipy.signal import lfilter

from analysis.metrics.registry import measure
from listening.conditions.anchors import low_pass
from listening.conditions.condition import ExpectedProperties
from listening.conditions.covariance_noise import covariance_noise
from listening.conditions.registry import condition
from listening.stimulus_build.quality_gate import describe, examine
from render.hoa.scene import Scene

RATE = 44_100


@pytest.fixture(scope="module")
def scene():
    """Three seconds of red noise, channels partly alike; a DC-free recording."""
    random = np.random.default_rng(0)
    noise = lfilter([1], [1, -0.95], random.standard_normal((16, 3 * RATE)))
    noise[1:] = 0.4 * noise[1:] + 0.2 * noise[0]
    noise -= noise.mean(axis=1, keepdims=True)
    return Scene((0.05 * noise / noise.std()).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def reference(scene):
    return describe(scene)


def changed(scene, function):
    samples = scene.samples.copy()
    result = function(samples)
    return describe(Scene(np.ascontiguousarray(samples if result is None else result, np.float32), RATE))


def swapped(samples):
    samples[[1, 3]] = samples[[3, 1]]


def cycled(samples):
    samples[[1, 2, 3]] = samples[[2, 3, 1]]


def inverted(samples):
    samples[5] *= -1


def silenced(samples):
    samples[7] = 0


def offset(samples):
    samples[2] += 0.02


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (swapped, "the reference's channel 3 in channel 1"),
        (cycled, "the reference's channel 2 in channel 1"),
        (inverted, "channel 5 inverted"),
        (silenced, r"silent in channels \[7\]"),
        (offset, "DC of 0.02"),
        (lambda samples: np.roll(samples, 1, axis=1), "comes 1 samples after"),
        (lambda samples: np.roll(samples, -700, axis=1), "comes -700 samples after"),
        (lambda samples: samples[:, :-1], "132299 samples at 44100 Hz; the reference 16, 132300"),
        (lambda samples: samples[:9], "has 9 channels"),
    ],
)
def test_a_defect_is_named(scene, reference, defect, message):
    report = examine(reference, changed(scene, defect), ExpectedProperties(), None)
    assert len(report.violations) >= 1
    assert any(re.search(message, violation) for violation in report.violations), report.violations


def test_the_reference_itself_passes_with_zeros(reference):
    report = examine(reference, reference, ExpectedProperties(), None)
    assert report.violations == []
    measured = report.measures
    assert (measured["lag_samples"], measured["loudness_difference_lu"], measured["mel_distance"]) == (0, 0, 0)
    assert set(measured["order_db"]) == {0}
    assert max(measured["covariance_distance"]) == 0
    assert measured["coherence"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["la", "ma", "mono_w", "order_1", "order_2", "cov_noise"])
def test_conditions_are_what_they_declare(scene, reference, name):
    made = condition(name)
    report = examine(reference, describe(made.apply(scene).scene), made.expected, None)
    assert report.violations == []


@pytest.mark.parametrize("name", ["opus2_160_cbr", "pca_opus_32", "opus3_160"])
def test_coders_are_what_they_declare(scene, reference, name):
    made = condition(name)
    rendition = made.apply(scene)
    whole_file = 8 * len(rendition.payload) / scene.duration_s / 1000
    kbps = rendition.facts.get("packet_kbps", whole_file)
    assert kbps <= whole_file
    report = examine(reference, describe(rendition.scene), made.expected, kbps)
    assert report.violations == []
    if made.expected.constant_kbps:
        assert "kbit/s; a constant rate" in examine(reference, reference, made.expected, 1.02 * kbps).violations[0]


def test_a_coder_is_late_only_where_another_lag_fits_clearly_better(scene, reference):
    late = changed(scene, lambda samples: np.roll(samples, 40, axis=1))
    assert "comes 40 samples" in examine(reference, late, ExpectedProperties(is_codec=True), None).violations[0]
    hum = lfilter([1], [1, -1.999, 0.9991], scene.samples[:, ::-1])  # flat around the top
    hum = Scene((0.1 * hum / np.abs(hum).max()).astype(np.float32), RATE)
    shifted = describe(Scene(np.roll(hum.samples, 4, axis=1), RATE))
    assert examine(describe(hum), shifted, ExpectedProperties(is_codec=True), None).violations == []
    assert examine(describe(hum), shifted, ExpectedProperties(), None).violations != []


def test_a_loud_channel_that_leaks_into_a_soft_one_is_no_swap(scene, reference):
    def leaking(samples):
        samples[12] = 0.1 * samples[12] + samples[0]

    assert examine(reference, changed(scene, leaking), ExpectedProperties(), None).violations == []


def test_gain_is_reported_and_never_a_violation(scene, reference):
    report = examine(reference, changed(scene, lambda samples: 0.5 * samples), ExpectedProperties(), None)
    assert report.violations == []
    assert report.measures["loudness_difference_lu"] == pytest.approx(-6.02, abs=0.01)
    assert report.measures["order_db"] == pytest.approx([-6.02] * 4, abs=0.01)


def test_what_is_declared_silent_must_be(scene, reference):
    report = examine(reference, reference, ExpectedProperties(active_channels=4), None)
    assert "sounds in channels [4, 5" in report.violations[0]


def test_channels_silent_in_the_reference_may_be_silent(scene):
    flat = scene.samples.copy()
    flat[[2, 5, 7]] = 0
    description = describe(Scene(flat, RATE))
    report = examine(description, description, ExpectedProperties(), None)
    assert report.violations == []
    assert describe(Scene(np.zeros_like(flat), RATE)).loudness_lufs == -np.inf


def test_silence_against_a_scene_is_a_violation_not_a_crash(scene, reference):
    report = examine(reference, describe(Scene(np.zeros_like(scene.samples), RATE)), ExpectedProperties(), None)
    assert "silent in channels" in report.violations[0]
    assert report.measures["loudness_difference_lu"] is None


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("cutoff_hz", [3500.0, 7000.0])
def test_the_anchors_pass_the_mask_by_20_db_as_filtered(rate_hz, cutoff_hz):
    noise = 0.1 * np.random.default_rng(1).standard_normal((4, 4 * rate_hz))
    scene = Scene(noise.astype(np.float32), rate_hz)
    expected = ExpectedProperties(low_pass_hz=cutoff_hz)
    report = examine(describe(scene), describe(low_pass(scene, cutoff_hz)), expected, None)
    assert report.violations == []
    mask = report.measures["mask"]
    first, second = (mask[f"attenuation_db_from_{ratio * cutoff_hz:.0f}_hz"] for ratio in (8 / 7, 9 / 7))
    assert (first - 25, second - 50) > (20, 20)
    assert first > 45
    assert second > 70
    assert mask["ripple_db"] < 0.01
    assert report.measures["lag_samples"] == 0


def test_an_anchor_off_its_mask_is_named(scene, reference):
    """A Butterworth filter of 8th order, as a user may have made one elsewhere."""
    from scipy.signal import butter, sosfiltfilt

    sos = butter(8, 3500, fs=RATE, output="sos")
    report = examine(
        reference, changed(scene, lambda x: sosfiltfilt(sos, x)), ExpectedProperties(low_pass_hz=3500.0), None
    )
    assert any("ripple" in violation for violation in report.violations)
    assert any("50 are needed" in violation for violation in report.violations)
    early = changed(scene, lambda x: np.roll(low_pass(Scene(x, RATE)).samples, -103, axis=1))
    assert any(
        "comes -103 samples" in violation
        for violation in examine(reference, early, ExpectedProperties(low_pass_hz=3500.0), None).violations
    )


def test_measures_against_closed_forms(scene, reference):
    """Channels without correlation are at 1 from channels that are all equal; a factor of 10 is 1 in log10."""
    noise = np.random.default_rng(5).standard_normal(scene.samples.shape)
    white = Scene((0.05 * noise).astype(np.float32), RATE)
    equal = describe(Scene(white.samples[:1].repeat(16, 0), RATE))  # every pair has R = 1
    distances = examine(equal, describe(white), ExpectedProperties(follows_waveform=False), None).measures[
        "covariance_distance"
    ]
    assert np.allclose(distances[8:], 1.0, atol=0.12)  # above, a band has few independent values
    assert np.mean(distances) == pytest.approx(1, abs=0.1)
    louder = examine(reference, changed(scene, lambda x: 10 * x), ExpectedProperties(), None)
    assert louder.measures["mel_distance"] == pytest.approx(1.0, abs=0.01)


def test_the_measures_are_those_of_the_analysis(scene, reference):
    noise = 0.01 * np.random.default_rng(6).standard_normal(scene.samples.shape)
    noisy = changed(scene, lambda x: (x + noise) * np.where(np.arange(16) < 4, 1.0, 0.5)[:, None])
    found = examine(reference, noisy, ExpectedProperties(), None).measures
    expected = measure(scene, noisy.scene)
    assert np.mean(found["covariance_distance"]) == pytest.approx(expected["covband_mean"], abs=1e-4)
    assert found["order_db"] == pytest.approx([expected[f"ord{n}_db"] for n in range(4)], abs=0.006)


def test_an_order_that_was_lost_has_no_level(scene, reference):
    first_order = changed(scene, lambda x: x * (np.arange(16) < 4)[:, None])
    levels = examine(reference, first_order, ExpectedProperties(active_channels=4), None).measures["order_db"]
    assert levels == [0, 0, None, None]


def test_noise_of_equal_covariance_is_near_in_covariance_and_far_in_waveform(scene, reference):
    report = examine(reference, describe(covariance_noise(scene)), condition("cov_noise").expected, None)
    assert max(report.measures["covariance_distance"]) < 0.1
    assert report.measures["coherence"] < 0.2
