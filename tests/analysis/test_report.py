"""The report: self-contained, complete by its checklist, and safe against hostile names."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis.report import CHECKLIST, read_facts, report
from analysis.results import analyse
from analysis.simulate import EFFECTS, simulate
from render.errors import InputError


@pytest.fixture(scope="module")
def ratings():
    return simulate(EFFECTS, 4, ["Beach", "Park"], seed=3)


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
    text = report(
        analyse(ratings), {"title": "Demo", "room": "3 m"}, [("r.csv", "ab" * 32)], {"mushra": b"<svg/>"}
    )
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert all(link.startswith("data:image/svg+xml;base64,") for link in tags.links)
    assert "script" not in tags.seen
    assert "SIMULATED RATINGS" in text
    assert text.count("MISSING") == len(CHECKLIST) - 2
    for word in ("Demo", "3 m", "ab" * 32, "H-REF", "Friedman", "multivariate", "numpy", "BS.1534-3"):
        assert word in text


def test_report_with_all_facts_flags_nothing(ratings):
    real = ratings.assign(session="s", listener=ratings["listener"].str[-2:], stimulus_sha256="cd" * 32)
    text = report(analyse(real), dict.fromkeys(CHECKLIST, "told"), [], {})
    assert "MISSING" not in text
    assert "SIMULATED" not in text
    assert "Beach / href" in text
    assert "cd" * 32 in text


def test_names_cannot_leave_their_place(ratings):
    evil = "<script>alert('x')</script>"
    table = ratings.assign(
        listener=ratings["listener"] + evil, item=ratings["item"] + evil, condition=ratings["condition"] + evil
    )
    text = report(analyse(table), {"title": evil, "room": evil}, [(evil, evil)], {evil: b"x"})
    assert "<script" not in text
    assert "alert(&#x27;x&#x27;)" in text


def test_exclusions_are_listed_with_their_evidence(ratings):
    worse = ratings.copy()
    chosen = (worse["listener"] == "simulated-02") & (worse["condition"] == "href")
    worse.loc[chosen, "score"] = 42.0
    text = report(analyse(worse), {}, [], {})
    row = re.search(r"<tr><td>simulated-02</td>.*?</tr>", text).group()
    assert "Beach (42), Park (42), of 2" in row
    assert "Without post-screening" in text


def test_facts_are_checked(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text('room = "3 m"\n')
    assert read_facts(path) == {"room": "3 m"}
    for text, what in (("room = 3", "not a text"), ('rooom = "x"', "no point"), ("room", "not TOML")):
        path.write_text(text)
        with pytest.raises(InputError, match=what):
            read_facts(path)


def test_incomplete_and_tiny_designs_are_reported():
    rows = [("s", "a", "x", "la", 1, 3.0), ("s", "a", "x", "href", 1, 99.0), ("s", "b", "x", "href", 1, 97.0)]
    table = pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])
    text = report(analyse(table), {}, [], {})
    assert "1 cells were not rated" in text
