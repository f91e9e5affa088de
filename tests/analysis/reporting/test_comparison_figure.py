"""The figure of BS.1116, AB and ABX: every value lies on its axis."""

import math

import pytest

from analysis.reporting.comparison_figure import comparison_figure, write_comparison_figure
from render.common.figure_style import Look


def row(scope="overall", of="", **values):
    names = {"condition": "codec"} if "mean" in values else {"first": "a", "second": "b"}
    return names | {"scope": scope, "of": of, "attribute": "x", "transducer": "loudspeakers", **values}


@pytest.mark.parametrize(
    ("method", "rows", "least", "greatest"),
    [
        ("bs1116", [row(mean=-1.0, ci_low=-2.0, ci_high=0.5)], -4.0, 1.0),
        ("bs1116", [row(mean=4.0, ci_low=math.nan, ci_high=math.nan)], -4.0, 4.0),
        ("bs1116", [row(mean=-2.0, ci_low=-5.1, ci_high=1.1)], -5.1, 1.1),
        ("ab", [row(share=math.nan, ci_low=math.nan, ci_high=math.nan)], 0.0, 1.0),
        ("abx", [row(share=1.0, ci_low=0.3, ci_high=1.0), row("item", "A", share=0.0, ci_low=0.0, ci_high=0.9)],
         0.0, 1.0),
    ],
)  # fmt: skip
def test_the_axis_holds_every_estimate_and_interval(method, rows, least, greatest):
    axes = comparison_figure(method, rows, False).axes[0]
    margin = 0.03 * (greatest - least)
    assert axes.get_xlim() == pytest.approx((least - margin, greatest + margin))


def test_each_pair_has_a_panel_and_scopes_stand_apart():
    """Rows by value; what is never pooled is named; pairs with equal names stay apart."""
    rows = [
        row(scope, of, share=share, ci_low=share - 0.1, ci_high=share + 0.1) | {"second": second, "transducer": t}
        for second in ("prop", "opus3_160")
        for t in ("loudspeakers", "headphones")
        for scope, of, share in (
            ("overall", "", 0.6),
            ("item", "A", 0.7),
            ("listener", "L1", 0.5),
            ("listener", "L2", 0.4),
        )
    ]
    look = Look(width_in=3.5)
    figure = comparison_figure("ab", rows, True, look, {"prop": "Ours", "opus3_160": "Ours"})
    assert figure.get_figwidth() == 3.5
    titles = [" ".join(axes.get_title().split()) for axes in figure.axes]
    assert titles == ["A over Ours loudspeakers", "A over Ours headphones"] * 2
    for axes in figure.axes:
        points = {line.get_marker(): line.get_xdata() for line in axes.lines if line.get_marker() in ("s", "o")}
        assert (points["s"][0], points["o"][0]) == (0.6, 0.7)
        assert list(axes.get_yticks()) == [0, 1.5, 3, 4]
        assert "SIMULATED" in [text.get_text() for text in axes.texts]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["all", "A", "L1", "L2"]


def test_rows_without_a_place_are_counted(tmp_path):
    rows = [row("listener", f"L{n}", share=0.5, ci_low=0.1, ci_high=0.9) for n in range(130)]
    assert write_comparison_figure("abx", rows, False, tmp_path) == 10
    assert "0.5 is guessing" in (tmp_path / "comparison.txt").read_text()
