"""What a pilot says: the same numbers as its analysis, and clear words where it says nothing."""

import pandas as pd
import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import Ratings
from analysis.statistics.condition_models import fit_condition_model
from analysis.statistics.power import sd_of_items
from analysis.study.analysis import analyse
from analysis.study.planning import (
    PUBLISHED_SD,
    difference_sds,
    margin_tests,
    pilot_components,
    pilot_sd,
    planned_tests,
)
from analysis.study.simulation import EFFECTS, VARIANCES, simulate
from render.common.errors import InputError


@pytest.fixture(scope="module")
def pilot():
    return Ratings(simulate(EFFECTS, 6, ["Beach", "Park", "Woodland"], seed=1))


def test_sd_of_a_pair_is_that_of_its_comparison(pilot):
    row = analyse(pilot).pairs.set_index(["a", "b"]).loc[("opus3_160", "prop")]
    assert pilot_sd(pilot, ["prop", "opus3_160"]) == pytest.approx(row["difference"] / row["dz"])
    assert pilot_sd(pilot, None) == pilot_sd(pilot, ["prop", "opus3_160"])  # the only pair of systems


def test_components_are_those_of_the_mixed_model(pilot):
    systems = pilot.table[pilot.table["condition"].isin(["prop", "opus3_160"])]
    model = fit_condition_model(cells(systems)).model
    assert pilot_components(pilot, None) == model.variances | {"residual": model.residual}


def test_origins_of_the_standard_deviations(pilot):
    assert difference_sds(None, None) == {f"published, test {i + 1}": sd for i, sd in enumerate(PUBLISHED_SD)}
    assert list(difference_sds(pilot, None)) == ["SIMULATED pilot, 6 listeners x 3 items"]
    components = {name.replace("_", ":"): value for name, value in VARIANCES.items()}
    (planned,) = planned_tests(None, None, 8)
    assert planned.origin == "published components, 8 items"
    assert planned.sampling(16).true_se == pytest.approx(sd_of_items(components, 8) / 4)
    assert planned_tests(pilot, None, 8)[0].origin == "components of the SIMULATED pilot, 8 items"
    (given,) = planned_tests(None, None, None, sd=6.0)
    assert (given.origin, given.sampling(9).true_se) == ("given", 2.0)


def test_claim_and_incomplete_designs_of_planned_tests():
    v = {name.replace("_", ":"): value for name, value in VARIANCES.items()}
    (random,) = planned_tests(None, None, 8, claim="material")
    expected = 2 * (v["listener:condition"] / 16 + v["item:condition"] / 8 + v["residual"] / 128)
    assert random.sampling(16).true_se == pytest.approx(expected**0.5)
    (partial,) = planned_tests(None, None, 8, 4)
    assert partial.origin == "published components, 8 items, 4 of them each"
    assert partial.sampling(16).true_se == pytest.approx(sd_of_items(v, 4) / 4)
    (both,) = planned_tests(None, None, 8, 4, "material")
    assert both.sampling(16).true_se == pytest.approx((expected + 2 * v["residual"] / 128) ** 0.5)


def test_margin_tests_are_of_both_directions(pilot):
    there, back = margin_tests(pilot, ["prop", "opus3_160"], 15.0).itertuples()
    assert there.difference == -back.difference
    assert there.p_equivalent == pytest.approx(back.p_equivalent)
    assert there.p_non_inferior < back.p_non_inferior  # prop is the better one


@pytest.mark.parametrize("function", [pilot_sd, pilot_components, lambda p, pair: margin_tests(p, pair, 5.0)])
def test_a_condition_that_the_pilot_does_not_have_is_named(pilot, function):
    with pytest.raises(InputError, match="the pilot has no condition opus2"):
        function(pilot, ["prop", "opus2"])


def test_pilots_that_say_nothing(pilot):
    one_item = pilot.table[pilot.table["item"] == "Park"]
    with pytest.raises(InputError, match="need 2 listeners, 2 items and 2 systems"):
        pilot_components(Ratings(one_item), None)
    with pytest.raises(InputError, match="no pair of systems whose differences vary"):
        pilot_sd(Ratings(pilot.table.assign(score=50.0)), None)


def test_a_pilot_of_hundreds_of_systems_needs_a_pair(pilot):
    many = pd.concat([pilot.table.assign(condition=f"c{n}") for n in range(300)])
    with pytest.raises(InputError, match=r"the pilot's 300 conditions make 44850 pairs.*--pair A B"):
        pilot_sd(Ratings(many), None)
