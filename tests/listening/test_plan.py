"""Plans of listening tests, and names of items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listening.plan import PLANS, Plan, item_id, load_plan
from render.errors import InputError


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
    with pytest.raises(InputError, match="known are demo"):
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
