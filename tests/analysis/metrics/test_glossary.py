"""docs/glossary.md has every measure, and is in alphabetical order."""

import re
from pathlib import Path

from analysis.metrics.registry import MEASURES

GLOSSARY = (Path(__file__).parents[3] / "docs/glossary.md").read_text(encoding="utf-8")


def test_every_measure_is_in_the_glossary():
    listed = set(re.findall(r"`(\w+)`", GLOSSARY))
    orders = {f"ord{n}{kind}_db" for n in range(8) for kind in ("", "_band")}  # listed as a range
    assert {measure.name for measure in MEASURES} - orders <= listed


def test_terms_are_in_alphabetical_order():
    terms = re.findall(r"^\| ([^|]+) \| [^|]*(?:\\\|[^|]*)*\|$", GLOSSARY.split("## Measures")[0], re.MULTILINE)
    names = [re.sub(r"[^a-z0-9]", "", term.lower()) for term in terms if term not in ("term", "---")]
    assert len(names) > 80
    assert names == sorted(names)
