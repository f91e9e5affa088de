"""The file of facts."""

import pytest

from analysis.reporting.checklist import FACTS, facts_text, is_given, read_facts, template
from render.common.errors import InputError


def test_the_template_is_a_file_of_facts_that_says_nothing(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text(template({}))
    assert read_facts(path) == dict.fromkeys(FACTS, "")


def test_what_is_known_stands_in_the_template_whatever_it_is(tmp_path):
    path = tmp_path / "facts.toml"
    known = {"room": 'Größe "3 m" \\ 4 m\n\t# \x00 \x7f \x9f \u2028 ☃', "title": "'"}
    path.write_text(template(known))
    assert read_facts(path) == dict.fromkeys(FACTS, "") | known
    path.write_text(facts_text(known | {"level": "take\udc80.wav"}))
    assert read_facts(path) == known | {"level": "take\\udc80.wav"}


def test_a_point_of_which_a_part_is_missing_is_not_given():
    facts = {"room": "3 m. MISSING: background noise", "layout": "4+7+0", "level": ""}
    assert [is_given(facts, key) for key in ("room", "layout", "level", "title")] == [False, True, False, False]


def test_facts_are_checked(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text('room = "3 m"\n')
    assert read_facts(path) == {"room": "3 m"}
    for text, what in (("room = 3", "not a text"), ('rooom = "x"', "not a point"), ("room", "not TOML")):
        path.write_text(text)
        with pytest.raises(InputError, match=what):
            read_facts(path)
