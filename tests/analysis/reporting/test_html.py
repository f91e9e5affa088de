"""The report: self-contained, complete by its checklist, and safe against hostile names."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis.ratings.table import Ratings
from analysis.reporting.checklist import FACTS
from analysis.reporting.html import report
from analysis.reporting.report_figures import ALTERNATIVES, WIDTHS_MM, ReportFigure, report_figures
from analysis.study.analysis import AnalysedTest, analyse
from analysis.study.preregistration import Plan
from analysis.study.simulation import EFFECTS, simulate


@pytest.fixture(scope="module")
def ratings():
    return simulate(EFFECTS, 4, ["Beach", "Park"], seed=3)


def analysed(table, sources=(), plan=None, deviations=()):
    return AnalysedTest(analyse(Ratings(table), plan=plan), tuple(sources), ("long CSV",), plan, tuple(deviations))


class Tags(HTMLParser):
    """Collect tags, attributes and whether every table cell was closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], set(), []

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_well_formed_self_contained_and_flags_what_is_missing(ratings):
    test = analysed(ratings, [("r.csv", "ab" * 32)])
    text = report(test, {"title": "Demo", "room": "3 m"}, {"mushra": ReportFigure(b"<svg/>", "What & why.")})
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert all(link.startswith("data:image/svg+xml;base64,") for link in tags.links)
    assert "script" not in tags.seen
    assert "SIMULATED RATINGS" in text
    in_text = len(FACTS) - 2
    of_the_ratings = 3  # no plan, no digests of stimuli, simulated
    assert text.count("MISSING") == 2 * in_text + of_the_ratings
    for word in ("Demo", "3 m", "ab" * 32, "H-REF", "Friedman", "multivariate", "numpy", "BS.1534-3"):
        assert word in text


def test_report_with_all_facts_flags_nothing(ratings):
    real = ratings.assign(session="s", listener=ratings["listener"].str[-2:], stimulus_sha256="cd" * 32)
    plan = Plan("P", "2026-01-01T00:00:00+00:00", 4, (), (), "bs1534-3", "listener", (("prop", "href"),), "t",
                "holm", 0.05, None, 0, 1, {})  # fmt: skip
    text = report(analysed(real, plan=plan, deviations=["listeners: <9>"]), dict.fromkeys(FACTS, "as usual"), {})
    assert "MISSING" not in text
    assert "<li>listeners: &lt;9&gt;</li>" in text
    assert "Planned: t test, holm over these 1 pairs" in text
    assert "SIMULATED" not in text
    assert "Beach / href" in text
    assert "cd" * 32 in text


def test_a_point_that_is_known_in_part_is_told_and_flagged(ratings):
    text = report(analysed(ratings), {"level": "-26 LUFS. MISSING: pressure"}, {})
    assert "-26 LUFS. <span class=missing>MISSING</span>: pressure" in text
    row = re.search(r"<tr><td>Listening level,.*?</tr>", text).group()
    assert "MISSING" in row
    assert f"{len(FACTS)} of {len(FACTS)} points" in text


def test_names_cannot_leave_their_place(ratings):
    evil = "<script>alert('x')</script>"
    table = ratings.assign(
        listener=ratings["listener"] + evil, item=ratings["item"] + evil, condition=ratings["condition"] + evil
    )
    text = report(
        analysed(table, [(evil, evil)]), {"title": evil, "room": evil}, {"mushra": ReportFigure(b"x", evil)}
    )
    assert "<script" not in text
    assert "alert(&#x27;x&#x27;)" in text


def test_figures_have_the_width_of_the_page_and_their_captions_as_text(ratings):
    figures = report_figures(analyse(Ratings(ratings)))
    widths = {name: float(re.search(rb'<svg[^>]* width="([0-9.]+)pt"', figure.svg)[1]) / 72 * 25.4
              for name, figure in figures.items()}  # fmt: skip
    assert widths == pytest.approx(WIDTHS_MM, abs=0.1)
    assert {name for name, figure in figures.items() if figure.half} == {"boxes", "violins"}
    text = report(analysed(ratings), {}, figures)
    order = re.findall(r'<img alt="([^"]+)"', text)
    assert sorted(order) == sorted(ALTERNATIVES.values())
    assert order.index(ALTERNATIVES["mushra"]) < order.index(ALTERNATIVES["differences"])
    assert text.count("<figcaption>SIMULATED RATINGS. ") == len(figures)
    assert not any(b"<text" in figure.svg for figure in figures.values())


def test_headings_of_tables_stay_with_their_rows(ratings):
    """Every table has its heading in a thead, which browsers keep with the rows and repeat on the next page."""
    text = report(analysed(ratings), {}, {})
    assert text.count("<table") == text.count("<thead><tr><th") > 5


def test_exclusions_are_listed_with_their_evidence(ratings):
    worse = ratings.copy()
    chosen = (worse["listener"] == "simulated-02") & (worse["condition"] == "href")
    worse.loc[chosen, "score"] = 42.0
    text = report(analysed(worse), {}, {})
    row = re.search(r"<tr><td>simulated-02</td>.*?</tr>", text).group()
    assert "Beach (42), Park (42), of 2" in row
    assert "Without post-screening" in text


def test_incomplete_and_tiny_designs_are_reported():
    rows = [("s", "a", "x", "la", 1, 3.0), ("s", "a", "x", "href", 1, 99.0), ("s", "b", "x", "href", 1, 97.0)]
    table = pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])
    text = report(analysed(table), {}, {})
    assert "1 cells were not rated" in text


def test_of_one_listener_no_interval_and_no_test_is_claimed(ratings):
    alone = ratings[ratings["listener"] == ratings["listener"].iloc[0]]
    text = report(analysed(alone), {}, {})
    assert "nan" not in text
    assert text.count("(no interval)") == ratings["condition"].nunique()
    assert "<h2>Tests of all conditions</h2><p>None could be computed" in text.replace("\n", "")


def test_how_the_test_ran_stands_in_the_procedure_where_the_ratings_tell_it(ratings):
    plain = report(analysed(ratings), {}, {})
    assert "Times, plays" not in plain
    table = ratings.assign(
        trial="1",
        time_ms="61500",
        plays="4",
        listen_ms="2500",
        loops="0",
        underruns="0",
        transducer="<headphones>",
    )
    text = report(analysed(table), {}, {})
    procedure = text.split("<h2>Procedure</h2>")[1].split("<h2>")[0]
    assert "No underrun was reported in" in procedure
    assert "<td>61.50</td>" in procedure
    assert "<td>&lt;headphones&gt;</td>" in procedure
    assert "Order of the trials of each listener." in procedure
