"""Condition ids: what each form takes apart, and what it refuses."""

import pytest

from listening.conditions.condition_id import ConditionId, IdForm
from listening.conditions.registry import KINDS, is_proposed_codec, kind_of

FORM = IdForm("opus3_<kbps>_music", range(1, 10_000), 160)


def test_a_form_takes_its_ids_apart_and_writes_them():
    assert FORM.parse("opus3_256_music") == ConditionId("opus3_256_music", "opus3_<kbps>_music", 256)
    assert FORM.with_number(256) == "opus3_256_music"
    assert IdForm("href").parse("href") == ConditionId("href", "href", None)
    assert IdForm("href").with_number(3) == "href"


@pytest.mark.parametrize(
    "text",
    ["opus3__music", "opus3_0_music", "opus3_016_music", "opus3_10000_music", "opus3_1٦_music", "opus3_-1_music",
     "opus3_16_music\n", "opus3_music", "opus3_", "", "opus3_" + "9" * 5000 + "_music"],
)  # fmt: skip
def test_a_form_refuses_other_ids(text):
    assert FORM.parse(text) is None


def test_no_id_has_two_forms():
    forms = [form for kind in KINDS for form in kind.forms]
    for form in forms:
        text = form.with_number(form.example)
        assert [other for other in forms if other.parse(text)] == [form]


def test_parameters_decide_before_the_id():
    assert is_proposed_codec("prop")
    assert is_proposed_codec("prop_4cb")
    assert is_proposed_codec("mine", {"model": "m.safetensors"})
    assert kind_of("prop_4cb", {"codebooks": 2})[1].number == 4
    assert not is_proposed_codec("prop", {"command": "x {input} {output}"})
    assert not is_proposed_codec("la")
