"""The analysis as a whole: what must be said, and designs that no textbook has."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.ratings.cells import cells
from analysis.ratings.table import Ratings, read, write
from analysis.statistics import anova
from analysis.study.analysis import analyse
from analysis.study.options import Settings
from analysis.study.results import as_json
from analysis.study.simulation import EFFECTS, simulate
from render.common.errors import InputError


def analysed(table, plan=None, **settings):
    """Results of a tidy table."""
    return analyse(Ratings(table), Settings(**settings), plan)


COLUMNS = ["session", "listener", "item", "condition", "replicate", "score"]


def skewed(power):
    """Ratings whose residuals grow more skewed with `power`."""
    rng = np.random.default_rng(3)
    cell = rng.normal(0, 1, (12, 6, 3))
    scores = np.clip(30 + 6 * np.sign(cell) * np.abs(cell) ** power + [0, 15, 40], 0, 100)
    rows = [("s", f"L{i}", f"I{j}", c, 1, scores[i, j, k])
            for i in range(12) for j in range(6) for k, c in enumerate(["a", "b", "href"])]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def test_items_left_out_count_nowhere_and_are_named():
    table = simulate(EFFECTS, 6, ["Beach", "Park"], seed=3)
    training = table[table["item"] == "Park"].assign(item="training1", score=0.0)
    both = pd.concat([table, training], ignore_index=True)
    alone, left = analysed(table), analysed(both, leave_out=("training1",))
    pd.testing.assert_frame_equal(left.summary, alone.summary)
    pd.testing.assert_frame_equal(left.pairs, alone.pairs)
    assert left.screening == alone.screening
    assert (left.cube.items, left.design) == (("Beach", "Park"), alone.design)
    assert set(left.warnings) - set(alone.warnings) == {"items left out: training1"}
    assert (
        analysed(both, screening="none").warnings[0].startswith("analysed like any other item: training1; --leave")
    )


@pytest.mark.parametrize(("items", "what"), [
    (("Parc",), "--leave-out Parc: no such item was rated; did you mean Park?"),
    (("Beach", "Park"), "--leave-out leaves no item"),
])  # fmt: skip
def test_items_that_cannot_be_left_out(items, what):
    with pytest.raises(InputError) as caught:
        analysed(simulate(EFFECTS, 3, ["Beach", "Park"], seed=3), leave_out=items)
    assert str(caught.value) == what


def test_residuals_far_from_normal_are_flagged_in_two_degrees():
    mild, severe = analysed(skewed(1.0), screening="none"), analysed(skewed(3.0), screening="none")
    assert max(map(abs, mild.omnibus.residuals)) < 0.5
    assert not any("residuals" in w for w in mild.warnings)
    assert any("severely off the normal" in w for w in severe.warnings)
    rest = anova.residuals(severe.cube.scores)
    assert severe.omnibus.residuals == pytest.approx(
        (stats.skew(rest, bias=False), stats.kurtosis(rest, bias=False))
    )


def test_ratings_of_two_camps_are_noted():
    table = simulate({"a": 50.0, "b": 50.0, "href": 99.0}, 12, ["x", "y", "z"], 1)
    noise = np.random.default_rng(1).normal(0, 3, len(table))
    camp = (table["listener"] < "simulated-07") & (table["condition"] == "a") & (table["item"] != "z")
    other = (table["listener"] >= "simulated-07") & (table["condition"] == "a") & (table["item"] != "z")
    divided = np.clip(np.where(camp, 20, np.where(other, 80, 50)) + noise, 0, 100)
    found = analysed(table.assign(score=divided), screening="none")
    (note,) = [n for n in found.warnings if "several modes" in n]
    assert ": a on 2 of 3 (" in note
    items = found.per_item.set_index(["condition", "item"])["bimodality"]
    values = found.cube.of("a")[:, 0]
    g, k = stats.skew(values, bias=False), stats.kurtosis(values, bias=False)
    assert items["a", "x"] == pytest.approx((g**2 + 1) / (k + 3 * 11**2 / (10 * 9)))


def test_skewed_ratings_at_the_top_are_no_two_camps():
    """Pooled over the items their coefficient is high by skewness alone."""
    rng = np.random.default_rng(2)
    rows = [("s", f"L{i}", f"I{j}", c, 1, max(0.0, 100 - rng.exponential(9)))
            for i in range(20) for j in range(8) for c in "ab"]  # fmt: skip
    found = analysed(pd.DataFrame(rows, columns=COLUMNS), screening="none")
    assert (found.per_item["bimodality"] > 5 / 9).mean() > 0.3
    assert found.spread["bimodal_items"].sum() <= 2  # of 16 items and conditions


def test_intervals_that_leave_the_scale_are_noted_and_have_bounded_ones():
    table = simulate({"a": 96.0, "b": 50.0}, 4, ["x", "y"], 3)
    found = analysed(table, screening="none", ci="crossed", claim="material")
    summary = found.summary.set_index("condition")
    assert summary.loc["a", "ci_high"] > 100
    assert any(
        note.startswith("intervals that leave the scale of 0 to 100: a; bounded") for note in found.warnings
    )
    assert (
        0
        < summary.loc["a", "bounded_ci_low"]
        < summary.loc["a", "mean"]
        < summary.loc["a", "bounded_ci_high"]
        < 100
    )


def test_interaction_and_crowding_at_the_top_are_noted():
    effects = {"a": 85.0, "b": 92.0, "href": 99.0}
    notes = analysed(simulate(effects, 10, ["x", "y", "z"], 1), screening="none").warnings
    assert any("80..100" in note for note in notes)
    table = simulate({"a": 40.0, "b": 60.0}, 10, ["x", "y"], 1)
    crossing = (table["item"] == "y").to_numpy() * np.where(table["condition"] == "a", 35, -35)
    notes = analysed(table.assign(score=np.clip(table["score"] + crossing, 0, 100)), screening="none").warnings
    assert any("conditions and items interact" in note for note in notes)


def test_blank_scores_are_noted_with_their_places(tmp_path):
    path = tmp_path / "r.csv"
    write(path, simulate({"a": 40.0, "href": 99.0}, 3, ["x", "y"], 1))
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ","
    path.write_text("\n".join(lines))
    notes = analyse(read(path)).warnings
    assert any(note.startswith("no score in r.csv:4: ") for note in notes)


def unusual():
    """Designs of every odd kind, by name."""
    table = simulate(EFFECTS, 6, ["x", "y", "z"], 1)
    rng = np.random.default_rng(1)
    again = table[table["listener"] == "simulated-01"].assign(replicate=2, score=50.0)
    twice = pd.concat([table, table.assign(session="second", score=table["score"].iloc[::-1].to_numpy())])
    balanced = table[
        (table["item"].str.get(0).map({"x": 0, "y": 1, "z": 2}) + table["listener"].str[-1].astype(int)) % 3 > 0
    ]
    return {
        "one listener": table[table["listener"] == "simulated-01"],
        "two listeners": table[table["listener"].isin(["simulated-01", "simulated-02"])],
        "one item": table[table["item"] == "x"],
        "one condition": table[table["condition"] == "prop"],
        "two conditions": table[table["condition"].isin(["prop", "href"])],
        "one rating": table.iloc[:1],
        "no mid anchor": table[table["condition"] != "ma"],
        "no reference": table[table["condition"] != "href"],
        "equal scores": table.assign(score=100.0),
        "equal within conditions": table.assign(score=table["condition"].map(EFFECTS)),
        "equal within listeners": table.assign(score=table["listener"].str[-1].astype(float)),
        "ties": table.assign(score=(table["score"] / 25).round() * 25),
        "ends of the scale": table.assign(score=(table["score"] > 50) * 100.0),
        "replicates": pd.concat([table, again]),
        "several sessions": twice,
        "balanced incomplete": balanced,
        "gaps everywhere": table[rng.random(len(table)) < 0.6],
        "two halves without a common listener": table[
            (table["condition"].isin(["la", "ma"])) == (table["listener"] < "simulated-04")
        ],
        "a condition that one listener rated": table[
            (table["condition"] != "prop") | (table["listener"] == "simulated-02")
        ],
    }  # fmt: skip


@pytest.mark.parametrize("name", unusual())
@pytest.mark.parametrize("ci", ["paper", "listener", "crossed"])
def test_unusual_designs_are_analysed_without_a_word_from_numpy(name, ci):
    """Warnings of numpy, pandas and matplotlib are errors here; what cannot be computed is null, with a reason."""
    table = unusual()[name]
    results = analysed(table, ci=ci, screening="none", draws=20, margin=5.0)
    text = json.dumps(as_json(results), allow_nan=False)
    assert json.loads(text)["rows"][0]["n"] >= 1
    assert len(results.summary) == table["condition"].nunique()
    means = results.summary.set_index("condition")["mean"]
    for row in results.pairs.itertuples():
        if results.cube.complete and ci == "listener":
            assert row.difference == pytest.approx(means[row.a] - means[row.b], abs=1e-8)
    if not results.omnibus.effects:
        assert any("analysis of variance and Friedman's test need" in warning for warning in results.warnings)


def test_a_table_without_residual_has_no_crossed_interval_and_says_so():
    rows = [("s", "a", "x", "c", 1, 0.0), ("s", "a", "y", "c", 1, 0.0), ("s", "b", "x", "c", 1, 100.0)]
    results = analysed(pd.DataFrame(rows, columns=COLUMNS), ci="crossed", screening="none")
    assert results.summary["mean"].item() == pytest.approx(100 / 3)
    assert results.summary[["ci_low", "ci_high"]].isna().all(axis=None)
    assert "no interval for c: its ratings are too few for this convention" in results.warnings


@settings(max_examples=12)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
@example(2, 1, 2, 1193)  # two listeners exchange the scores of two stimuli
def test_any_small_design_is_analysed(listeners, items, conditions, seed):
    rng = np.random.default_rng(seed)
    cells_ = [
        (f"L{i}", f"I{j}", f"C{k}") for i in range(listeners) for j in range(items) for k in range(conditions)
    ]
    kept = [c for c in cells_ if rng.random() < 0.8] or cells_[:1]
    scores = rng.choice([0.0, 50.0, 100.0], len(kept))
    table = pd.DataFrame([("s", *c, 1, s) for c, s in zip(kept, scores, strict=True)], columns=COLUMNS)
    for ci in ("listener", "crossed"):
        results = analysed(table, ci=ci, screening="none")
        json.dumps(as_json(results), allow_nan=False)
        assert results.summary["n"].sum() == len(table)


def test_replicates_are_averaged_before_listeners_are():
    rows = [("s", "a", "x", "c", 1, 10.0), ("s", "a", "x", "c", 2, 30.0), ("s", "b", "x", "c", 1, 50.0)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    assert analysed(table, screening="none").summary["mean"].item() == (20 + 50) / 2
    assert analysed(table, ci="paper", screening="none").summary["mean"].item() == 30


R = {"rel": 1e-6}


def table_of_r(folder, name):
    with open(folder / "expected" / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ratings(reference_ratings):
    return read(reference_ratings / "expected" / "A.csv").table


def test_per_item_intervals_and_quartiles_equal_r(reference_ratings, ratings):
    results = analyse(Ratings(ratings), Settings(screening="none"))
    found = results.per_item.set_index(["item", "condition"])
    for row in table_of_r(reference_ratings, "A_per_item_ci.csv"):
        ours = found.loc[(row["item"], row["cond"])]
        r = [float(row[f"score.{k}"]) for k in ("n", "mean", "lo", "hi")]
        assert ours[["n", "mean", "ci_low", "ci_high"]].tolist() == pytest.approx(r, abs=1e-6)
    spread = results.spread.set_index("condition")
    for row in table_of_r(reference_ratings, "A_ci_all_ratings.csv"):
        r = [float(row[k]) for k in ("median", "sd")]
        assert spread.loc[row[""], ["median", "sd"]].tolist() == pytest.approx(r, **R)
    for row in table_of_r(reference_ratings, "A_hinges_1534.csv"):
        ours = spread.loc[row[""], ["q1", "median", "q3"]].tolist()
        assert ours == [float(row[k]) for k in ("V1", "V2", "V3")]


def test_incomplete_design_is_analysed_with_a_word_about_it(ratings):
    results = analyse(Ratings(ratings.drop(index=[0])), Settings(screening="none"))
    assert results.not_rated == (("L01", "drums saw_anech", "FOA"),)
    assert any("21 listeners who rated all" in w for w in results.warnings)
    assert results.omnibus.effects[0].df_error == 7 * 20
    assert len(cells(results.table).listeners) == 22


def test_hundreds_of_conditions_are_summarised_and_their_pairs_left_out_with_a_word():
    rng = np.random.default_rng(4)
    rows = [("s", f"L{i}", "I", f"c{k}", 1, float(rng.integers(0, 101))) for i in range(2) for k in range(200)]
    results = analysed(pd.DataFrame(rows, columns=COLUMNS), draws=1000)
    assert len(results.summary) == 200
    assert len(results.pairs) == 0
    assert [line for line in results.warnings if "200 conditions make 19900 pairs" in line]
    json.dumps(as_json(results), allow_nan=False)
    alone = analysed(pd.DataFrame(rows[:200], columns=COLUMNS))
    assert max(map(len, alone.warnings)) < 250
    assert [
        line
        for line in alone.warnings
        if line.endswith("and 190 more: its ratings are too few for this convention")
    ]
