"""Eq. 3 in closed form, silent channels, sums that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics import selftest
from analysis.metrics.covariance import (
    compare,
    conclude,
    correlation,
    correlation_distance,
    lost_channels,
    moments,
)


def scene(seed=0, channels=16, frames=4000, level=0.1):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((channels, channels)) * 0.4 + np.eye(channels)
    return (level * mixing @ rng.standard_normal((channels, frames))).astype(np.float32)


def distance(x, y):
    return conclude(moments(x, y))["cov_sum"]


def test_closed_forms_of_eq_3():
    forms = selftest.closed_forms()
    assert len(forms) == 17
    assert [form for form in forms if not form.holds] == []


def test_without_silence_it_is_numpys_correlation():
    x, y = scene(1), scene(2)
    difference = np.abs(np.corrcoef(x) - np.corrcoef(y))
    assert distance(x, y) == pytest.approx(difference[np.triu_indices(16, 1)].sum(), rel=1e-9)
    assert conclude(moments(x, y))["cov_mean"] == pytest.approx(distance(x, y) / 120)


SILENT_5 = (np.arange(16) != 5)[:, None].astype(np.float32)
EDGES = {
    "normal": (scene(1), scene(2)),
    "reference channel silent": (SILENT_5 * scene(1), scene(1)),
    "output channel silent": (scene(1), SILENT_5 * scene(1)),
    "output silent": (scene(1), 0 * scene(1)),
    "both silent": (0 * scene(1), 0 * scene(1)),
}


@pytest.mark.parametrize("case", EDGES)
def test_the_training_loss_is_the_measure_and_its_gradient_is_finite(case):
    import torch

    from codec.losses.covariance import covariance_distance

    # The loss counts the diagonal too, which differs where a channel sounds in one scene only
    sounding = [np.ptp(part, axis=1) > 0 for part in EDGES[case]]
    expected = (distance(*EDGES[case]) or 0.0) + 0.5 * np.count_nonzero(sounding[0] != sounding[1])
    x, y = (torch.tensor(part)[None] for part in EDGES[case])
    y.requires_grad_()
    loss = covariance_distance(x, y)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()


@pytest.mark.parametrize("swap", [False, True])
def test_a_channel_that_is_silent_in_one_scene_costs_its_correlations(swap):
    x = scene()
    pair = (SILENT_5 * x, x) if swap else (x, SILENT_5 * x)
    row = np.abs(np.corrcoef(x)[5])
    assert distance(*pair) == pytest.approx(row.sum() - 1)
    assert conclude(moments(*pair))["cov_mean"] == pytest.approx((row.sum() - 1) / 120)
    assert lost_channels(moments(*pair)) == ([] if swap else [5])


def test_a_channel_that_is_silent_in_both_is_no_pair():
    x, y = scene(1), scene(2)
    kept = np.arange(16) != 5
    whole = conclude(moments(SILENT_5 * x, SILENT_5 * y))
    expected = np.abs(np.corrcoef(x[kept]) - np.corrcoef(y[kept])).sum() / 2
    assert whole["cov_sum"] == pytest.approx(expected)
    assert whole["cov_mean"] == pytest.approx(whole["cov_sum"] / 105)


def test_edge_cases_are_finite_or_not_applicable():
    """metrics of scenes that make eq. 3 as printed 0/0."""
    x = scene()
    pairs = np.abs(np.corrcoef(x))[np.triu_indices(16, 1)].sum()
    constant = np.full_like(x, 0.3)
    assert distance(x, np.zeros_like(x)) == pytest.approx(pairs)
    assert distance(x, constant) == pytest.approx(pairs)
    assert distance(x + 0.5, x) == pytest.approx(0, abs=1e-3)  # the mean is no signal
    both = conclude(moments(np.zeros_like(x), constant))
    assert both["cov_sum"] is None
    assert both["sisdr_W_db"] is None
    assert both["ord0_db"] is None
    lost = conclude(moments(x, 0 * x))
    assert lost["sisdr_W_db"] == -100
    assert all(value is None or np.isfinite(value) for value in lost.values())
    with pytest.raises(ValueError, match="at least 2 samples"):
        moments(x[:, :1], x[:, :1])


def test_the_level_does_not_matter_down_to_silence():
    x, y = scene(1), scene(2)
    for gain in (1e-4, 10.0):
        assert distance(np.float32(gain) * x, np.float32(gain) * y) == pytest.approx(distance(x, y), rel=1e-5)


@given(st.lists(st.integers(1, 3999), max_size=4, unique=True))
def test_sums_of_parts_are_the_sum_of_the_whole(cuts):
    x, y = scene(1), scene(2)
    total = None
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 4000], strict=True):
        here = compare(x[:, begin:end], y[:, begin:end])
        total = here if total is None else total + here
    assert conclude(total) == pytest.approx(conclude(moments(x, y)), rel=1e-6)


@given(st.floats(-60, 60), st.floats(0.01, 100))
def test_si_sdr_is_the_ratio_that_was_mixed(snr_db, gain):
    """Orthogonal noise of a known level; a gain changes nothing (Le Roux et al. 2019)."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 30_000))
    x -= x.mean()
    noise = rng.standard_normal((1, 30_000))
    noise -= noise.mean() + x * (noise @ x.T) / (x @ x.T)
    noise *= np.linalg.norm(x) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)
    found = conclude(moments(x, gain * (x + noise)))["sisdr_W_db"]
    assert found == pytest.approx(snr_db, abs=1e-3)


def test_levels_per_order():
    x = scene()
    gains = np.repeat([1.0, 2.0, 0.5, 0.25], [1, 3, 5, 7])[:, None].astype(np.float32)
    found = conclude(moments(x, gains * x))
    expected = [0, 6.0206, -6.0206, -12.0412]
    assert [found[f"ord{n}_db"] for n in range(4)] == pytest.approx(expected, abs=1e-3)
    assert found["chlvl_db"] == pytest.approx((3 * 6.0206 + 5 * 6.0206 + 7 * 12.0412) / 16, abs=1e-3)


def test_bands_are_measured_apart():
    x, y = np.cov(scene(1)), np.cov(scene(2))
    stacked, pairs = correlation_distance(np.stack([x, x]), np.stack([y, x]))
    assert stacked == pytest.approx([correlation_distance(x, y)[0], 0])
    assert pairs.tolist() == [120, 120]
    assert np.abs(np.diag(correlation(x))).max() == 0
