"""Errors of the tests by simulation: each keeps its level for its claim, and not for the other."""

import numpy as np
import pytest
from scipy import stats

from analysis import coverage
from analysis.study.error_rates import CLAIM_OF_TEST, DESIGNS, _draw, _rated, error_rates
from analysis.study.simulation import VARIANCES


def test_tests_keep_their_level_for_their_claim_only():
    found = error_rates("complete", (8, 8, 3), 150, 60, 1, VARIANCES).set_index("test")
    assert found.index.tolist() == list(CLAIM_OF_TEST)
    for name, row in found.iterrows():
        if row["claim"] in ("items", "material"):
            assert row[row["claim"]] < 0.085, name
            if name.startswith("pairs") and "any pair" not in name:
                assert row[row["claim"]] > 0.02, name
        if row["claim"] == "items":
            assert row["material"] > row["items"] + 0.02, name
    assert found.loc["pairs: permutation of BS.1534-3", "items"] > 0.08


@pytest.mark.parametrize("design", ["gaps", "planned", "item-sets"])
def test_incomplete_designs_have_tests(design):
    found = error_rates(design, (8, 6, 3), 8, 0, 1, VARIANCES).set_index("test")
    made = set(found.dropna().index)
    assert {"mixed model, items fixed (Kenward-Roger)", "mixed model, items random (Kenward-Roger)"} <= made
    assert {"pairs: t", "pairs: crossed"} <= made
    assert "Friedman" not in made


def test_a_difference_is_found_as_often_as_the_noncentral_t_says():
    """Without items the paired t test of 8 listeners has the power of the noncentral distribution."""
    variances = dict.fromkeys(VARIANCES, 0.0) | {"listener_condition": 50.0, "residual": 1e-6}
    found = error_rates("complete", (8, 2, 3), 100, 0, 1, variances, 10.0).set_index("test")["items"]
    limit = stats.t.ppf(0.975, 7)
    power = stats.nct.sf(limit, 7, 8**0.5) + stats.nct.cdf(-limit, 7, 8**0.5)
    assert found["pairs: t"] == pytest.approx(power, abs=3 * (power * (1 - power) / 200) ** 0.5)
    assert found["pairs: t, Holm (any pair)"] > found["pairs: t"] - 0.1


def test_hypotheses_are_true_as_drawn():
    """Without listeners and noise only the interaction is left: its means over these items are 0 if they must."""
    variances = dict.fromkeys(VARIANCES, 0.0) | {"item_condition": 100.0}
    rng = np.random.default_rng(1)
    fixed, at_random = _draw(rng, "complete", (3, 6, 4), variances)
    np.testing.assert_allclose(fixed.mean(axis=1), 50, atol=1e-9)
    assert np.ptp(at_random.mean(axis=1)[0]) > 1
    shared, _ = _draw(rng, "item-sets", (3, 6, 4), variances)
    np.testing.assert_allclose(shared[:, :3].mean(axis=1), 50, atol=1e-9)
    np.testing.assert_allclose(shared[:, 3:, :3].mean(axis=1), 50, atol=1e-9)
    assert np.isnan(shared[:, 3:, 3]).all()


def test_planned_designs_are_balanced():
    rated = _rated(np.random.default_rng(1), "planned", (12, 6, 2))
    assert set(rated[:, :, 0].sum(axis=1)) == {3}
    assert set(rated[:, :, 0].sum(axis=0)) == {6}


def test_the_command_counts_errors(command):
    assert set(coverage.DESIGNS) == set(DESIGNS)
    done = command("analysis.coverage", "--tests", "--trials", 4, "--draws", 0, "--conditions", 3)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SIMULATED: 4 tests of 8 listeners x 8 items x 3 conditions\ncomplete: every")
    assert "pairs: crossed" in done.stdout
    assert "permutation" not in done.stdout
    assert command("analysis.coverage", "--tests", "--conditions", 1).returncode == 2
