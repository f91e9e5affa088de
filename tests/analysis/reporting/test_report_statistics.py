"""What the report and the terminal say of panels, laboratories, single items and variance components, by value."""

import re

import numpy as np
import pandas as pd
import pytest

from analysis.ratings.table import Ratings
from analysis.reporting.html import report
from analysis.reporting.html_table import html_table, p_text
from analysis.reporting.terminal import lines
from analysis.study.analysis import AnalysedTest, analyse
from analysis.study.options import Settings
from analysis.study.simulation import simulate

EFFECTS = {"ma": 40.0, "a": 55.0, "b": 70.0, "href": 100.0}


@pytest.fixture(scope="module")
def test():
    """Two laboratories, two ratings of every cell."""
    table = simulate(EFFECTS, 8, ["x", "y", "z"], 6, laboratories=2, replicates=2)
    return AnalysedTest(analyse(Ratings(table), Settings(screening="none")))


@pytest.fixture(scope="module")
def text(test):
    return report(test, {}, {})


def test_sections_stand_in_the_order_of_an_argument(text):
    heads = re.findall("<h2>([^<]*)", text)
    wanted = ["Post-screening", "Panel", "Results", "Tests of all conditions", "Laboratories", "Comparisons",
              "Single items", "Conclusions"]  # fmt: skip
    assert [head for head in heads if head in wanted] == wanted


def test_values_of_panel_and_laboratories(test, text):
    panel, laboratories = test.results.panel, test.results.laboratories
    assert f"intraclass correlation of {panel.agreement.single:.2f} [{panel.agreement.single_low:.2f}" in text
    assert f"scatter by {panel.repeat_sd:.1f} points" in text
    row = laboratories.means.iloc[5]
    assert f"{row['mean']:.1f} [{row['ci_low']:.1f}, {row['ci_high']:.1f}]" in text
    assert "laboratory 2 (4 listeners)" in text
    said = "\n".join(lines(test))
    assert f"ICC(2,1) {panel.agreement.single:.2f}" in said
    assert f"laboratory:condition  F(3, 18) = {laboratories.effects[2].f:.3f}" in said
    assert f"ranks condition{test.results.omnibus.aligned[0].f:>13.3f}" in said


def test_a_coefficient_that_cannot_be_computed_says_why():
    """Two listeners exchange the scores of two stimuli: only ICC(3,1) is left, -1 by its formula."""
    table = simulate({"a": 55.0, "b": 70.0, "href": 100.0}, 2, ["x"], 6)
    table = table.sort_values(["listener", "condition"]).assign(score=[40.0, 60.0, 100.0, 60.0, 40.0, 100.0])
    said = report(AnalysedTest(analyse(Ratings(table), Settings(screening="none"))), {}, {})
    assert (
        "over the 2 stimuli of the systems that all rated: ICC(2,1) not computed, ICC(2,1) needs means that "
        "differ, of stimuli or of listeners; ICC(3,1) -1.00 [-1.00, -1.00]." in said
    )


def test_the_error_of_a_difference_is_that_of_the_mixed_model(test, text):
    """In a complete design the components give the standard error of the model's contrasts."""
    model = test.results.models["material"]
    assert f"standard error of {model.difference(0, 1, 'satterthwaite').se:.1f} points" in text
    (shares,) = re.findall(r"points: (\d+) % from listeners, (\d+) % from items, (\d+) % from the residual", text)
    assert sum(map(int, shares)) == pytest.approx(100, abs=1)


def test_the_summary_names_the_systems_that_differ(test, text):
    (row,) = test.results.pairs[(test.results.pairs["a"] == "a") & (test.results.pairs["b"] == "b")].itertuples()
    assert row.p_adjusted < 0.05
    assert f"below B by {-row.difference:.1f} points [{row.ci_low:.1f}, {row.ci_high:.1f}]" in text


def test_tables_write_p_as_p():
    made = html_table(pd.DataFrame({"p_t": [1e-7, np.nan, 0.5], "difference": [1e-7, np.nan, 0.5]}))
    assert made.count("&lt; 0.0001") == 1
    assert made.count("–") == 2
    assert (p_text(0.0123), p_text(1e-9)) == ("p = 0.012", "p < 0.0001")
