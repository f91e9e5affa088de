"""The power command: published, given and piloted standard deviations, claims within a margin, the figure."""

import pytest

from analysis.ratings.table import Ratings, write
from analysis.study.analysis import analyse
from analysis.study.options import Settings
from analysis.study.simulation import EFFECTS, simulate


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    path = tmp_path_factory.mktemp("power") / "pilot.csv"
    write(path, simulate(EFFECTS, 6, ["Beach", "Park", "Woodland"], seed=1))
    return path


def test_listeners_and_figure_of_a_given_standard_deviation(tmp_path, command):
    planned = command("analysis.power", "--difference", 10, "--sd", 8, "--margin", 5, "-o", tmp_path)
    assert "find a difference of 10 points:             8 listeners" in planned.stdout
    for suffix in ("pdf", "png", "svg"):
        assert (tmp_path / f"power.{suffix}").stat().st_size > 1000


def test_claims_are_tested_on_the_pilot(pilot, command):
    call = ["analysis.power", "--pilot", pilot, "--margin", 15, "--pair"]
    piloted = command(*call, "prop", "opus3_160")
    assert "SIMULATED pilot, 6 listeners x 3 items" in piloted.stdout
    ratings = Ratings(simulate(EFFECTS, 6, ["Beach", "Park", "Woodland"], seed=1))
    row = analyse(ratings, Settings(margin=15)).pairs.set_index(["a", "b"]).loc[("opus3_160", "prop")]
    assert f"equivalent within 15 points: p = {row.p_equivalent:.3g}" in piloted.stdout
    claim = f"opus3_160 no worse than prop by 15 points: p = {row.p_non_inferior:.3g}"
    assert claim in piloted.stdout
    assert claim in command(*call, "opus3_160", "prop").stdout


def test_components_of_the_pilot_and_of_a_published_test(pilot, command):
    assert (
        "components of the SIMULATED pilot, 12 items"
        in command("analysis.power", "--pilot", pilot, "--items", 12).stdout
    )
    assert "published components, 12 items" in command("analysis.power", "--items", 12).stdout
