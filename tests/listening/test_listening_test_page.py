"""docs/listening-test.md: its settings are those of a plan."""

import re
from dataclasses import fields
from pathlib import Path

from listening.sessions.plan import SessionPlan

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/listening-test.md").read_text(encoding="utf-8")


def test_every_setting_of_a_plan_stands_in_the_table_and_no_other():
    table = PAGE.split("| setting |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`\[*(\w+)\]*`", row.split("|")[1])}
    assert named == {field.name for field in fields(SessionPlan)}


def test_every_make_target_is_one():
    targets = set(re.findall(r"^make (\w+)", PAGE, re.MULTILINE))
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", rules, re.MULTILINE) for target in targets)
