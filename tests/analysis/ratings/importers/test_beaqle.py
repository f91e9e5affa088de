"""JSON of BeaqleJS."""

import pytest

from render.common.errors import InputError

BEAQLE = """[{"TestID": "s1", "Runtime": 3000, "rating": {"Reference": 100, "A": 20}},
 {"TestID": "s2", "Runtime": 2000, "rating": {"A": 30.5, "Reference": 99}},
 {"UserName": "anna", "UserComment": ""}]"""


def test_beaqle(load, rows):
    assert rows(load(BEAQLE, "x.txt")) == [
        ["anna", "s1", "href", 100], ["anna", "s1", "A", 20],
        ["anna", "s2", "A", 30.5], ["anna", "s2", "href", 99],
    ]  # fmt: skip
    assert load(BEAQLE, "x.txt")["time_ms"].tolist() == ["3000", "3000", "2000", "2000"]
    told = load(BEAQLE.replace('"UserComment": ""', '"UserComment": "loud", "Age": 31'), "x.txt")
    assert set(told["questionnaire_UserComment"]) == {"loud"}
    assert set(told["questionnaire_Age"]) == {"31"}


def test_beaqle_with_a_test_that_this_listener_was_not_given(load, rows):
    """BeaqleJS writes every test's name, and ratings of those only that were played (MaxTestsPerRun)."""
    text = BEAQLE.replace(' {"TestID": "s2"', ' {"TestID": "s3"},\n {"TestID": "s2"')
    assert rows(load(text, "x.txt")) == rows(load(BEAQLE, "x.txt"))
    with pytest.raises(InputError, match=r":3: score '-' is not a number"):
        load(text.replace("30.5", '"-"'), "x.txt")


def test_beaqle_with_escaped_names_loses_no_test(load, rows):
    escaped = BEAQLE.replace('"TestID": "s1"', '"Test\\u0049D": "s1"').replace('"rating"', '"r\\u0061ting"')
    assert rows(load(escaped, "x.txt")) == rows(load(BEAQLE, "x.txt"))
    quoting = BEAQLE.replace('"UserComment": ""', '"UserComment": "\\"TestID\\": [, {"')
    assert rows(load(quoting, "x.txt")) == rows(load(BEAQLE, "x.txt"))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("30.5", "NaN", r":2: score 'NaN' is not a number"),
        ("30.5", "1e999", r":2: score"),
        ("30.5", "true", r":2: score of 'A' is not a number"),
        ("30.5", "[1]", r":2: score of 'A' is not a number"),
        ('"A": 20', '"Reference": 20', "occurs twice"),
        ('"A": 20', '"ref": 20', ":1: .*already rated in line 1"),
        ('"TestID": "s1"', '"TestID": "s2"', ":2: .*already rated in line 1"),
        ('"TestID": "s1", ', '"TestID": "s1", "Test\\u0049D": "s1", ', "occurs twice"),
        ('"TestID": "s2"', '"TestId": "s2"', ":2: a test without TestID"),
        ('"s1"', '["s1"]', ":1: TestID is neither text nor a number"),
        ("20}", "9" * 400 + "}", ":1: score 9+... is outside 0 to 100"),
        ("30.5", "-Infinity", r":2: score '-Infinity' is not a number"),
        ('{"Reference": 100, "A": 20}', "3", ":1: test 's1' has no ratings"),
        ("}]", "}", r"x\.txt:3: not JSON"),
    ],
)
def test_beaqle_errors(old, new, what, load):
    with pytest.raises(InputError, match=what):
        load(BEAQLE.replace(old, new), "x.txt")
