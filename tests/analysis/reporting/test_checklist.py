"""The file of facts."""

import pytest

from analysis.reporting.checklist import FACTS, read_facts, template
from render.common.errors import InputError


def test_the_template_is_a_file_of_facts_that_says_nothing(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text(template())
    assert read_facts(path) == dict.fromkeys(FACTS, "")


def test_facts_are_checked(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text('room = "3 m"\n')
    assert read_facts(path) == {"room": "3 m"}
    for text, what in (("room = 3", "not a text"), ('rooom = "x"', "not a point"), ("room", "not TOML")):
        path.write_text(text)
        with pytest.raises(InputError, match=what):
            read_facts(path)
