"""docs/listening-test.md: its commands and settings are there."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from listening.sessions.plan import SessionPlan

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/listening-test.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].split() for line in PAGE.splitlines() if line.startswith("python -m ")]


@pytest.mark.parametrize("module", sorted({words[2] for words in COMMANDS}))
def test_every_option_is_one_of_its_command(module):
    made = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", made.stdout))
    used = {word for words in COMMANDS if words[2] == module for word in words[3:] if word.startswith("-")}
    assert used <= known


def test_every_setting_of_a_plan_stands_in_the_table_and_no_other():
    table = PAGE.split("| setting |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`\[*(\w+)\]*`", row.split("|")[1])}
    assert named == {field.name for field in fields(SessionPlan)}


def test_every_make_target_is_one():
    targets = set(re.findall(r"^make (\w+)", PAGE, re.MULTILINE))
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", rules, re.MULTILINE) for target in targets)
