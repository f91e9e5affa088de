"""Figures: marked when simulated, equal bytes, nothing overlaps."""

import re

import numpy as np
import pytest

from analysis.ratings.table import Ratings
from analysis.reporting import mushra_figures as figures
from analysis.reporting.drawing import drawing
from analysis.reporting.figure_options import Choices
from analysis.reporting.html import report
from analysis.reporting.score_figures import BANDS
from analysis.study.analysis import AnalysedTest, analyse
from analysis.study.options import Settings
from analysis.study.simulation import EFFECTS, simulate
from render.common.errors import InputError
from render.common.figure_style import Look, figure_style


@pytest.fixture(scope="module")
def results():
    ratings = simulate(EFFECTS, 5, ["Beach", "Park"], seed=2)
    return analyse(Ratings(ratings), Settings(draws=50))


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_say_simulated_and_repeat_to_the_byte(results, tmp_path, name):
    test = drawing(results)
    figure = figures.draw(test, name)
    for axes in figure.axes:
        assert any(text.get_text() == "SIMULATED RATINGS" for text in axes.texts)
    for folder in "ab":
        figures.save(test, name, tmp_path / folder, ("svg",))
    assert (tmp_path / "a" / f"{name}.svg").read_bytes() == (tmp_path / "b" / f"{name}.svg").read_bytes()


def test_figure_of_listeners_does_not_say_simulated(results):
    ratings = results.table.assign(session="s", listener=results.table["listener"].str[-2:])
    figure = figures.overall(drawing(analyse(Ratings(ratings))))
    texts = [t.get_text() for t in figure.axes[0].texts] + [t.get_text() for t in figure.texts]
    assert not any("SIMULATED" in text for text in texts)
    assert {*BANDS} <= set(texts)
    lowest = results.summary["ci_low"].min()
    assert figure.axes[0].get_ylim() == (lowest - 2, 100)  # the low anchor's interval leaves the scale
    paper = figures.overall(drawing(analyse(Ratings(ratings), Settings(ci="paper"))))
    assert paper.axes[0].get_ylim() == (0, 100)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["LA", "MA", "OPUS", "PROP", "H-REF"]
    caption = " ".join(" ".join(texts).split())
    for word in ("5 listeners x 2 items", "Post-screening BS.1534-3: 0 of 5 left out", "t over listener means"):
        assert word in caption


LONG = ["la", "ma", *(f"Proposed codec {rate} kbit/s, fine-tuned on speech" for rate in (12, 16, 24, 32)),
        "EVS-based transport, 4 transport channels", "DirAC", "opus3_96", "opus3_160", "prop", "href"]  # fmt: skip


@pytest.fixture(scope="module")
def crowded():
    """12 conditions with long names, 30 listeners with long names, 10 items with long names."""
    items = [f"Shopping centre {i}, in the rain" for i in range(10)]
    ratings = simulate(dict(zip(LONG, range(10, 100, 8), strict=False)), 30, items, seed=2)
    names = "3fa85f64-5717-4562-b3fc-" + ratings["listener"].str[-2:].str.zfill(12)
    return analyse(Ratings(ratings.assign(session="s", listener=names)), Settings(screening="none"))


@pytest.mark.parametrize("width_mm", [None, 89])
@pytest.mark.parametrize("name", figures.FIGURES)
def test_nothing_overlaps_or_leaves_the_figure_with_many_long_names(crowded, name, width_mm):
    """Boxes of the drawn texts, slanted ones by their corners, against one another and the figure's edges."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    look = Look(width_in=width_mm and width_mm / 25.4)
    with figure_style(figures.FONT_SIZE, look):
        figure = figures.FIGURES[name](drawing(crowded, Choices(look, mark="letters")))
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = list(figure.texts)
        for axes in figure.axes:
            low, high = axes.get_xlim()
            texts += [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
            texts += [axes.title, *axes.get_yticklabels()]
        texts = [t for t in texts if t.get_text() and t.get_visible()]
        boxes = np.array([t.get_window_extent(renderer).extents for t in texts])
    width, height = figure.bbox.size
    assert width_mm is None or figure.get_figwidth() == pytest.approx(width_mm / 25.4)
    assert boxes[:, :2].min() >= 0
    assert boxes[:, 2].max() <= width
    assert boxes[:, 3].max() <= height
    upright = [i for i, t in enumerate(texts) if t.get_rotation() == 0]
    for i in upright:
        for j in upright:
            if i < j:
                apart = (boxes[i, :2] >= boxes[j, 2:]).any() or (boxes[j, :2] >= boxes[i, 2:]).any()
                assert apart, (texts[i].get_text(), texts[j].get_text())
    slanted = [t for t in texts if t.get_rotation() != 0]
    ends = np.array([t.get_transform().transform(t.get_position()) for t in slanted])
    for i, t in enumerate(slanted):  # parallel lines that end at the ticks: as far apart as sin(40 deg) of that
        others = np.delete(ends, i, axis=0)
        same_row = others[np.abs(others[:, 1] - ends[i, 1]) < 1]
        gap = np.min(np.abs(same_row[:, 0] - ends[i, 0])) * np.sin(np.radians(40))
        assert gap >= 0.9 * t.get_fontsize() * figure.dpi / 72


def incomplete():
    """Designs with gaps, by name."""
    table = simulate(EFFECTS, 6, ["x", "y", "z"], 1)
    rng = np.random.default_rng(1)
    return {
        "one rating": table.iloc[:1],
        "gaps everywhere": table[rng.random(len(table)) < 0.6],
        "a condition that one listener rated": table[
            (table["condition"] != "prop") | (table["listener"] == "simulated-02")
        ],
    }


@pytest.mark.parametrize("name", incomplete())
def test_incomplete_designs_are_drawn(name, tmp_path):
    results = analyse(Ratings(incomplete()[name]), Settings(screening="none"))
    test = drawing(results)
    for figure in figures.drawable(test):
        figures.save(test, figure, tmp_path, ("svg",))
        assert (tmp_path / f"{figure}.svg").stat().st_size > 1000
    text = report(AnalysedTest(results), {}, {})
    heads = re.findall("<h2>([^<]*)", text)
    assert {"Summary", "Panel", "Results", "Tests of all conditions", "Comparisons", "Conclusions"} <= set(heads)
    assert ">nan<" not in text


def test_names_are_no_formulas(tmp_path):
    table = simulate({"a$\\frac$b": 40.0, "c_$x^$": 60.0}, 3, ["$\\x$"], 1)
    test = drawing(analyse(Ratings(table), Settings(screening="none")))
    for name in ("mushra", "items", "differences"):
        figures.save(test, name, tmp_path, ("svg",))
    assert "a$\\frac$b" in (tmp_path / "mushra.svg").read_text()


def test_intervals_that_leave_the_scale_are_drawn_whole():
    results = analyse(Ratings(simulate({"a": 97.0, "b": 50.0}, 3, ["x", "y"], 3)), Settings(screening="none"))
    figure = figures.overall(drawing(results))
    low, high = figure.axes[0].get_ylim()
    assert high > results.summary["ci_high"].max() > 100
    assert low <= min(0, results.summary["ci_low"].min())
    assert "summary.csv has bounded ones" in " ".join(figure.texts[0].get_text().split())


def test_boxes_have_the_hinges_of_the_standard():
    results = analyse(Ratings(simulate(EFFECTS, 5, ["Beach"], seed=2)), Settings(screening="none"))
    figure = figures.boxes(drawing(results))
    boxes = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 5 and line.get_linestyle() == "-"]
    drawn = [(line.get_ydata().min(), line.get_ydata().max()) for line in boxes]
    expected = [(row.q1, row.q3) for row in results.spread.itertuples()]
    assert [pair for pair in drawn if pair in expected] == expected


def test_discs_are_filled_by_the_adjusted_intervals(results):
    test = drawing(results)
    figure, pairs = figures.differences(test), test.differences()
    excluding = ((pairs["ci_low_adjusted"] > 0) | (pairs["ci_high_adjusted"] < 0)).sum()
    singly = ((pairs["ci_low"] > 0) | (pairs["ci_high"] < 0)).sum()
    filled = [
        line for line in figure.axes[0].lines if line.get_marker() == "o" and line.get_markerfacecolor() == "black"
    ]
    assert sum(len(line.get_xdata()) for line in filled) == excluding < singly


def test_figures_are_chosen_by_name(results):
    test = drawing(results)
    assert figures.chosen_figures(test, ["main", "violins", "mushra"]) == ["mushra", "violins"]
    assert figures.chosen_figures(test, ["all"]) == list(figures.FIGURES)
    with pytest.raises(InputError, match="did you mean violins"):
        figures.chosen_figures(test, ["violin"])
