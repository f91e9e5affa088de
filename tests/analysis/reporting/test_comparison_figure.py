"""The figure of BS.1116, AB and ABX: every value lies on its axis."""

import math

import pytest

from analysis.reporting.comparison_figure import comparison_figure


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
    axes = comparison_figure(method, rows, "caveat", False).axes[0]
    margin = 0.03 * (greatest - least)
    assert axes.get_xlim() == pytest.approx((least - margin, greatest + margin))
