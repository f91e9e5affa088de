"""What is shown, in which order and under which names; differences by value."""

import numpy as np
import pytest

from analysis.ratings.table import Ratings
from analysis.reporting.drawing import drawing
from analysis.reporting.figure_options import Choices
from analysis.reporting.paper_texts import latex_tables, sentences
from analysis.reporting.score_figures import boxes, overall, score_density, violins
from analysis.study.analysis import analyse
from analysis.study.options import Settings
from analysis.study.simulation import simulate
from render.common.errors import InputError

MEANS = {"la": 20.0, "ma": 40.0, "opus3_160": 50.0, "prop": 75.0, "prop_9cb": 60.0, "href": 98.0}


@pytest.fixture(scope="module")
def results():
    ratings = simulate(MEANS, 14, ["x", "y", "z"], seed=4)
    ratings = ratings.assign(session="s", listener="l" + ratings["listener"].str[-2:])
    return analyse(Ratings(ratings), Settings(screening="none"))


def pairs(test, **kind):
    return list(test.differences(**kind)[["a", "b"]].itertuples(index=False, name=None))


def test_the_papers_comparison_comes_first_and_anchors_are_left_out(results):
    assert pairs(drawing(results)) == [
        ("prop", "prop_9cb"), ("prop", "opus3_160"), ("prop_9cb", "opus3_160"),
        ("prop", "href"), ("prop_9cb", "href"), ("opus3_160", "href"),
    ]  # fmt: skip
    ordered = Choices(order=("la", "opus3_160", "prop", "href"))
    assert pairs(drawing(results, ordered)) == [("prop", "opus3_160"), ("prop", "href"), ("opus3_160", "href")]
    assert ("prop", "la") in pairs(drawing(results, ordered), anchors=True)
    only_anchors = Choices(order=("la", "ma"))
    assert pairs(drawing(results, only_anchors)) == [("ma", "la")]
    to = pairs(drawing(results, Choices(compared_to="opus3_160")))
    assert to == [("prop", "opus3_160"), ("prop_9cb", "opus3_160"), ("href", "opus3_160")]
    assert pairs(drawing(results, Choices(compared_to="la")))[-1] == ("href", "la")


def test_differences_are_those_of_the_listeners_means(results):
    """Means and signs by hand from the ratings; intervals keep their order when a pair is turned."""
    means = results.table.groupby(["condition", "listener"])["score"].mean().unstack()
    for row in drawing(results, Choices(compared_to="opus3_160")).differences().to_dict("records"):
        difference = means.loc[row["a"]] - means.loc[row["b"]]
        assert row["difference"] == pytest.approx(difference.mean())
        half = 2.160369 * difference.std() / np.sqrt(14)  # t of 13 degrees of freedom
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(
            (difference.mean() - half, difference.mean() + half)
        )
        assert row["ci_low_adjusted"] < row["ci_low"] < row["ci_high"] < row["ci_high_adjusted"]


def test_order_and_labels(results):
    test = drawing(results, Choices(order=("mean",), labels={"prop": "Ours"}))
    assert test.tick_names == ["LA", "MA", "OPUS", "PROP_9CB", "Ours", "H-REF"]
    some = drawing(results, Choices(order=("prop", "la")))
    for draw in (overall, boxes, violins):
        figure = draw(some)
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["PROP", "LA"]
        assert "Not drawn: MA, OPUS, PROP_9CB, H-REF." in figure.get_label()
    drawn = overall(some).axes[0].lines[0].get_ydata()
    means = results.table.groupby("condition")["score"].mean()
    assert drawn == pytest.approx([means["prop"], means["la"]])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices(labels={"props": "Ours"}), "--labels: no condition props was rated; did you mean prop"),
        (Choices(order=("prop", "opus")), "--order: no condition opus"),
        (Choices(compared_to="x"), "--compared-to: no condition x"),
        (Choices(order=("prop", "la"), compared_to="href"), "--order leaves this condition out"),
    ],
)
def test_unknown_conditions_are_refused(results, choices, message):
    with pytest.raises(InputError, match=message):
        drawing(results, choices)


def test_listeners_means_are_drawn_behind(results):
    axes = overall(drawing(results, Choices(show_listeners=True))).axes[0]
    lines = [line for line in axes.lines if line.get_label() == "listener"]
    expected = results.table.groupby(["listener", "condition"])["score"].mean().unstack()
    expected = expected[list(results.cube.conditions)]
    assert np.array([line.get_ydata() for line in lines]) == pytest.approx(expected.to_numpy())
    assert all(line.get_zorder() < axes.containers[0].lines[0].get_zorder() for line in lines)


def test_marks_say_what_the_adjusted_tests_say(results):
    differing = results.pairs[results.pairs["p_adjusted"] < 0.05]
    pairs_of_systems = differing[~differing[["a", "b"]].isin(["href", "la", "ma"]).any(axis=1)]
    axes = overall(drawing(results, Choices(mark="brackets"))).axes[0]
    assert 0 < len(pairs_of_systems) == sum(text.get_text().startswith("p ") for text in axes.texts)
    brackets = [line for line in axes.lines if len(line.get_xdata()) == 4 and line.get_ydata().min() > 1]
    at = results.cube.conditions.index
    expected = {tuple(sorted((at(a), at(b)))) for a, b in zip(differing["a"], differing["b"], strict=True)}
    assert {(line.get_xdata()[0], line.get_xdata()[-1]) for line in brackets} <= expected
    marked = overall(drawing(results, Choices(mark="letters")))
    assert "share a letter" in marked.get_label()
    texts = {text.xy[0]: text.get_text() for text in marked.axes[0].texts if getattr(text, "xycoords", "") and
             text.get_text().isalpha() and len(text.get_text()) < 3}  # fmt: skip
    for a in range(6):
        for b in range(a + 1, 6):
            assert bool(set(texts[a]) & set(texts[b])) == ((a, b) not in expected)


def test_without_pairs_nothing_can_be_marked():
    one = analyse(Ratings(simulate({"prop": 50.0}, 4, ["x"], 1)), Settings(screening="none"))
    for mark in ("letters", "brackets"):
        with pytest.raises(InputError, match="no pairs were compared"):
            overall(drawing(one, Choices(mark=mark)))


def test_the_density_is_that_of_reflected_kernels():
    """SciPy's estimate for the ratings and their images at 0 and 100, with the same width."""
    from scipy.stats import gaussian_kde

    scores = np.array([0.0, 3.0, 40.0, 55.0, 60.0, 98.0, 100.0])
    grid, density = score_density(scores)
    q1, q3 = 3.0, 98.0  # BS.1534-3's hinges of 7 values: the 2nd and the 6th
    width = 0.9 * min(scores.std(ddof=1), (q3 - q1) / 1.34) * 7**-0.2
    images = np.concatenate([scores, -scores, 200 - scores])
    oracle = gaussian_kde(images, width / images.std(ddof=1))
    assert density == pytest.approx(3 * oracle(grid), rel=1e-9)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=2e-3)
    for constant in (np.full(5, 100.0), np.array([20.0])):
        assert np.trapezoid(score_density(constant)[1], grid) == pytest.approx(1, abs=1e-6)


def test_tables_and_sentences_hold_the_results(results):
    test = drawing(results, Choices(order=("opus3_160", "prop", "href"), labels={"prop": "Ours & co_1"}))
    row = results.summary.set_index("condition").loc["prop"]
    tables = latex_tables(test)
    interval = f"[{row['ci_low']:.1f}, {row['ci_high']:.1f}]"
    assert f"  Ours \\& co\\_1 & 42 & {row['mean']:.1f} & {interval} & {row['median']:.1f} \\\\\n" in tables
    assert tables.count(r"\begin{table}") == tables.count(r"\end{table}") == 2
    assert "SIMULATED" not in tables
    first = test.differences().iloc[0]
    lines = sentences(test).splitlines()
    assert lines[0] == "The ratings of 14 listeners x 3 items were analysed (no post-screening)."
    assert lines[2].startswith(f"Ours & co_1 was rated {first['difference']:.1f} points above OPUS (95 % CI ")
    below = test.differences().iloc[1]
    interval = f"95 % CI {-below['ci_high']:.1f} to {-below['ci_low']:.1f}; "
    assert f"{-below['difference']:.1f} points below H-REF ({interval}" in lines[3]
    assert lines[3].endswith("says nothing of other items.")
    simulated = simulate({"prop": 60.0, "opus3_160": 40.0}, 4, ["x"], 1)
    few = drawing(analyse(Ratings(simulated), Settings(screening="none")))
    for text in (latex_tables, sentences):
        assert "SIMULATED" in text(few).splitlines()[0]
