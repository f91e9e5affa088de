"""Plans of listening tests, and names of items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listening.test_design.test_plan import PLANS, Plan, item_id, load_plan
from render.common.errors import InputError


def test_the_demo_is_the_test_of_the_paper():
    plan = load_plan("demo")
    assert plan == Plan()
    assert plan.conditions == ("href", "la", "opus3_160", "prop")
    assert (plan.seconds, plan.holdout) == (10.0, 8)


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.toml")), ids=lambda p: p.stem)
def test_every_committed_plan_can_be_read(path):
    assert load_plan(path.stem) == load_plan(str(path))


def test_what_a_plan_leaves_out_is_as_in_the_demo(tmp_path):
    (tmp_path / "x.toml").write_text('conditions = ["href", "ma"]\nseconds = 8\n')
    assert load_plan(str(tmp_path / "x.toml")) == Plan(conditions=("href", "ma"), seconds=8)


def test_an_unknown_plan_tells_the_known_ones():
    with pytest.raises(InputError, match="known are critical, demo, full"):
        load_plan("paper2")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("Beach", "Beach"),
        ("take 1 (a)", "take_1_a"),
        ("Beach.1", "Beach_1"),
        ("a, b + c", "a_b_c"),
        ("x-1_y", "x-1_y"),
        ("A" * 64, "A" * 64),
        ("01", "item_01"),
        ("1e5", "item_1e5"),
        ("NaN", "item_NaN"),
        ("MAR1", "item_MAR1"),
        ("2024-01-02", "item_2024-01-02"),
    ],
)
def test_item_ids_are_made_from_file_names(stem, name):
    assert item_id(stem) == name


@pytest.mark.parametrize(
    "stem", ["", " ", "..", "a/b", "../x", "a\nb", "a\n", "Ä", "x;rm", "$(x)", "<b>", "A" * 65, "=1"]
)
def test_other_file_names_are_refused(stem):
    with pytest.raises(InputError, match="rename the file"):
        item_id(stem)


@given(st.text())
def test_an_item_id_is_a_safe_folder_name_and_stays_as_it_is(stem):
    try:
        name = item_id(stem)
    except InputError:
        return
    assert 1 <= len(name) <= 64
    assert name.isascii()
    assert name.replace("_", "").replace("-", "").isalnum() or set(name) <= {"_", "-"}
    assert item_id(name) == name


FULL = """
conditions = ["href", "prop", "mine", "coder"]
[parameters.mine]
model = "models/mine.safetensors"
codebooks = 9
[parameters.coder]
command = "coder {input} {output}"
payload = "x.bin"
[[objects]]
file = "voice.wav"
azimuth_deg = -30
item = "Beach"
[excerpts.Beach]
sha256 = "%s"
start = 44100
frames = 441000
""" % ("a" * 64)


def test_parameters_objects_and_excerpts_and_files_relative_to_the_plan(tmp_path):
    (tmp_path / "x.toml").write_text(FULL)
    plan = load_plan(str(tmp_path / "x.toml"))
    assert plan.parameters["mine"] == {"model": str(tmp_path / "models/mine.safetensors"), "codebooks": 9}
    assert plan.parameters["coder"]["payload"] == "x.bin"
    assert (plan.objects[0].file, plan.objects[0].azimuth_deg) == (str(tmp_path / "voice.wav"), -30)
    assert plan.excerpts["Beach"].start == 44100
    import dataclasses
    import json

    from listening.test_design.test_plan import plan_from

    assert plan_from(json.loads(json.dumps(dataclasses.asdict(plan)))) == plan


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("codebooks = 9", "codebook = 9", "'codebook'; did you mean codebooks?"),
        ("codebooks = 9", 'codebooks = "9"', "codebooks = '9' of mine is not int"),
        ("codebooks = 9", "codebooks = 0", "codebooks = 0 of mine"),
        ("codebooks = 9", 'command = "x"', "mine has a command and a model"),
        ('command = "coder {input} {output}"', "", "coder has a payload but no command"),
        ("parameters.mine", "parameters.other", "'other', which is not a condition"),
        ("azimuth_deg", "azimut_deg", "'azimut_deg'; did you mean azimuth_deg?"),
        ("azimuth_deg = -30", "elevation_deg = 91", "±90 is possible"),
        ('file = "voice.wav"', "", "object"),
        ("start = 44100", "start = -1", "is not a number of samples"),
        ("a" * 64, "a" * 63, "64 digits"),
        ('"mine"', ", ".join(f'"order_{n}"' for n in range(10)), "13 conditions; a trial has 12 at most"),
        ("conditions =", 'codecs = ["x"]\nconditions =', "no such setting: 'codecs'"),
        ("conditions =", "second = 9\nconditions =", "'second'; did you mean seconds?"),
        ("conditions =", 'holdout = "Sea"\nconditions =', "or a class: Beach"),
    ],
)  # fmt: skip
def test_mistakes_in_a_plan_are_told_with_a_suggestion(tmp_path, old, new, message):
    assert old in FULL
    (tmp_path / "x.toml").write_text(FULL.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_plan(str(tmp_path / "x.toml"))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'x.toml'}: ")
