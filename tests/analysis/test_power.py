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


def listeners_of(printed, what="find a difference"):
    line = next(line for line in printed.stdout.splitlines() if line.strip().startswith(what))
    return int(line.rpartition("points:")[2].split()[0])


def test_family_loss_claim_and_design_ask_for_more_listeners(command):
    call = ["analysis.power", "--items", 10, "--difference", 12]
    alone = listeners_of(command(*call))
    assert listeners_of(command(*call, "--comparisons", 10)) > alone
    assert listeners_of(command(*call, "--comparisons", 10, "--correction", "none")) == alone
    lost = command(*call, "--loss", 20)
    assert alone / 0.8 <= listeners_of(lost) <= alone / 0.8 + 5
    assert "listeners, to be recruited if 20 % are lost" in lost.stdout
    wide = [*call, "--difference", 16]
    material = command(*wide, "--claim", "material")
    assert listeners_of(material) > listeners_of(command(*wide))
    assert "holds for other listeners and other items of the kind of which these 10 items" in material.stdout
    assert listeners_of(command(*call, "--items-per-listener", 5)) > alone


@pytest.mark.parametrize(("options", "what"), [
    (("--claim", "material"), "--claim material takes the items as a sample"),
    (("--items", 4, "--items-per-listener", 5), "--items-per-listener must be from 1"),
    (("--comparisons", 0), "--comparisons must be"),
    (("--loss", 95), "--loss must be"),
    (("--key", "k.json"), "--key is about a pilot's ratings"),
])  # fmt: skip
def test_options_that_contradict_each_other(command, options, what):
    done = command("analysis.power", *options)
    assert done.returncode == 2
    assert what in done.stderr


def test_reference_and_anchors_of_a_pilot_are_named(tmp_path, command):
    table = simulate(EFFECTS, 6, ["Beach", "Park"], seed=1)
    names = {"href": "Original", "la": "anchor_3k5", "ma": "LP7"}
    write(tmp_path / "pilot.csv", table.assign(condition=table["condition"].replace(names)))
    plain = command("analysis.power", "--pilot", tmp_path / "pilot.csv")
    assert "note: Original is taken for a system; if it is the hidden reference, give --reference 'Original'" in (
        plain.stdout
    )
    named = command("analysis.power", "--pilot", tmp_path / "pilot.csv", "--reference", "Original",
                    "--low-anchor", "anchor_3k5", "--mid-anchor", "LP7")  # fmt: skip
    assert "is taken for a system" not in named.stdout
    write(tmp_path / "as.csv", table)
    first, second = (text.split("points")[0] for text in (
        named.stdout, command("analysis.power", "--pilot", tmp_path / "as.csv").stdout))  # fmt: skip
    assert first == second
