"""Plans of sessions: defaults, the examples that are shipped, and what is refused."""

import pytest

from listening.sessions.plan import PLANS, Field, SessionPlan, load_plan, plan_from
from render.common.errors import InputError


def test_without_a_file_it_is_a_mushra_test_of_the_basic_audio_quality():
    plan = load_plan(None)
    assert (plan.method, plan.attributes, plan.replicates) == ("mushra", ("basic_audio_quality",), 1)
    assert (plan.level_range_db, plan.transducer, plan.questionnaire) == (4, "either", ())
    assert plan == SessionPlan() == plan_from({})


def test_the_example_of_mushra_has_every_setting_by_value():
    plan = load_plan(PLANS / "mushra.toml")
    assert plan.attributes == (
        "basic_audio_quality", "timbral_quality", "localization_quality", "environment_quality",
    )  # fmt: skip
    assert (plan.title, plan.session, plan.replicates) == ("Coding of Ambisonics", "coding-2026", 2)
    assert (plan.require_100, plan.break_after, plan.level_range_db) == (True, 8, 4)
    assert (plan.screening, plan.comments, plan.consent) == (True, True, True)
    assert plan.languages == ("en", "de", "fr")
    assert plan.questionnaire[0] == Field(
        "age", "How old are you?", "number", required=True, minimum=18, maximum=99
    )
    assert [field.kind for field in plan.questionnaire] == ["number", "choice", "yes_no", "text"]
    assert plan.questionnaire[1].choices == ("none", "1 to 5", "more than 5")


def test_the_other_examples_load():
    methods = {path.stem: load_plan(path).method for path in PLANS.glob("*.toml")}
    assert methods == {"mushra": "mushra", "bs1116": "bs1116", "abx": "abx", "ab": "ab"}
    assert load_plan(PLANS / "abx.toml").repetitions == 8
    assert load_plan(PLANS / "ab.toml").pairs == (("opus3_160", "prop"), ("la", "prop"))
    assert load_plan(PLANS / "bs1116.toml").require_100


def test_files_of_texts_lie_beside_the_plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('texts = ["texts/sv.toml"]')
    assert load_plan(path).texts == (str(tmp_path / "texts/sv.toml"),)


ONE = {"id": "age", "label": "Age?"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"methd": "mushra"}, "no such setting: 'methd'; did you mean method?"),
        ({"method": "mushr"}, "method = 'mushr'; did you mean mushra?"),
        ({"attributes": ["timbral"]}, "attribute = 'timbral'; did you mean timbral_quality?"),
        ({"attributes": []}, "at least one is rated"),
        ({"attributes": ["timbral_quality", "timbral_quality"]}, "one is named twice"),
        ({"attributes": "timbral_quality"}, "attributes are a list of texts"),
        ({"replicates": 0}, "replicates = 0; possible are 1 to 9"),
        ({"replicates": 10}, "replicates = 10"),
        ({"replicates": True}, "replicates = True"),
        ({"break_after": -1}, "break_after = -1"),
        ({"level_range_db": -1}, "level_range_db = -1; possible are 0 to 4"),
        ({"level_range_db": 4.5}, "level_range_db = 4.5; possible are 0 to 4"),
        ({"level_range_db": float("nan")}, "level_range_db = nan"),
        ({"transducer": "speakers"}, "possible are loudspeakers, headphones, either"),
        ({"comments": 1}, "comments = 1; true or false"),
        ({"title": "two\nlines"}, "title"),
        ({"title": "x" * 201}, "200 characters at most"),
        ({"questionnaire": {"id": "a"}}, "a list, [[questionnaire]]"),
        ({"questionnaire": [{"label": "Age?"}]}, "a field without id"),
        ({"questionnaire": [ONE | {"kinds": "text"}]}, "did you mean kind?"),
        ({"questionnaire": [ONE | {"id": "Age"}]}, "id = 'Age'"),
        ({"questionnaire": [ONE, ONE]}, "two fields have one id"),
        ({"questionnaire": [ONE | {"kind": "choice"}]}, "two or more choices"),
        ({"questionnaire": [ONE | {"choices": ["a", "b"]}]}, "two or more choices"),
        ({"questionnaire": [ONE | {"kind": "choice", "choices": ["a", "a"]}]}, "all different"),
        ({"questionnaire": [ONE | {"minimum": 3}]}, "only a number has limits"),
        ({"questionnaire": [ONE | {"kind": "number", "minimum": 3, "maximum": 2}]}, "minimum is above maximum"),
        ({"pairs": "all"}, "pairs and repetitions are of ab and abx"),
        ({"repetitions": 2}, "pairs and repetitions are of ab and abx"),
        ({"method": "abx", "pairs": "some"}, "pairs = 'some'"),
        ({"method": "abx", "pairs": []}, "list of pairs of conditions"),
        ({"method": "abx", "pairs": [["a", "b", "c"]]}, "list of pairs of conditions"),
        ({"method": "abx", "pairs": [["a", "a"]]}, "compared with itself"),
        ({"method": "abx", "pairs": [["a", "b"], ["b", "a"]]}, "one pair stands twice"),
        ({"method": "ab", "require_100": True}, "require_100 is of mushra and bs1116"),
        ({"controls": True}, "controls are of bs1116, ab and abx"),
        ({"transducer": "loudspeakers", "screening": True}, "screening is for headphones"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(InputError) as raised:
        plan_from(values)
    assert message in str(raised.value)


def test_the_error_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.toml: there is no such plan"):
        load_plan(tmp_path / "nothing.toml")
    path = tmp_path / "plan.toml"
    path.write_text("method = x\n")
    with pytest.raises(InputError, match=r"plan\.toml: .*line 1"):
        load_plan(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"plan\.toml"):
        load_plan(path)
