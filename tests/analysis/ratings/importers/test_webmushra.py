"""webMUSHRA and pymushra: a real file, and files written as the programs write them."""

import json

import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import read
from render.common.errors import InputError


def test_real_webmushra_equals_the_long_form_given_to_r(reference_ratings):
    ratings = read(reference_ratings / "aes2023_ambisonics" / "webmushra_results.csv")
    assert ratings.formats == ("webMUSHRA",)
    table, long = ratings.table, read(reference_ratings / "expected" / "A.csv").table
    assert table["score"].tolist() == long["score"].tolist()
    assert table["item"].tolist() == long["item"].tolist()
    assert table["condition"].replace("href", "reference").tolist() == long["condition"].tolist()
    cube = cells(table)
    assert cube.scores.shape == (22, 13, 8)
    assert cube.complete
    first = table.iloc[0]
    assert (first["time_ms"], first["questionnaire_age"], first["comment"]) == ("180397", "26", "")


WEBMUSHRA = "session_test_id,age,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"


def test_webmushra_maps_the_conditions_it_adds(load, rows):
    text = WEBMUSHRA + "".join(
        f'm,26,u1,"A b",{s},{n},9,"a, b"\n' for n, s in enumerate(["reference", "anchor35", "anchor70", "C1"])
    )
    assert rows(load(text)) == [
        ["u1", "A b", "href", 0], ["u1", "A b", "la", 1], ["u1", "A b", "ma", 2], ["u1", "A b", "C1", 3],
    ]  # fmt: skip


def test_webmushra_rows_of_a_questionnaire_changed_later(load, rows):
    text = WEBMUSHRA + "m,26,u1,A,C1,5,9,\nm,26,male,town,u2,A,C1,6,9,\nm,u3,A,C1,7,9,\n"
    table = load(text)
    assert rows(table) == [["u1", "A", "C1", 5], ["u2", "A", "C1", 6], ["u3", "A", "C1", 7]]
    assert table["questionnaire_age"].tolist() == ["26", "", ""]  # which answer is which cannot be told
    assert table["time_ms"].tolist() == ["9", "9", "9"]


def test_webmushra_before_session_uuid(load):
    text = "session_test_id,age,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    text += "m,26,A,C1,1,9,\nm,26,A,C2,2,9,\nm,31,A,C1,3,9,\nm,31,A,C2,4,9,\nm,31,A,C1,5,9,\nm,31,A,C2,6,9,\n"
    table = load(text)
    assert table["listener"].tolist() == ["01", "01", "02", "02", "03", "03"]


def test_webmushra_file_begun_before_session_uuid_and_continued_after(load):
    """The header is written once; rows of the newer program are one cell longer than it."""
    text = "session_test_id,age,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    text += "m,26,A,C1,1,9,\nm,26,A,C2,2,9,x\nm,26,u-1,A,C1,3,9,\nm,26,u-1,A,C2,4,9,\nm,26,u-2,A,C1,5,9,\n"
    table = load(text)
    assert table["listener"].tolist() == ["01", "01", "02", "02", "03"]
    assert table["score"].tolist() == [1, 2, 3, 4, 5]
    assert table["comment"].tolist() == ["", "x", "", "", ""]


def test_webmushra_without_times_and_comments(load, rows):
    text = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score\nm,u1,A,C1,1\n"
    table = load(text)
    assert rows(table) == [["u1", "A", "C1", 1]]
    assert (table["time_ms"].item(), table["comment"].item()) == ("", "")


def test_webmushra_row_that_is_too_short(load):
    with pytest.raises(InputError, match=r":3: has 4 cells; webMUSHRA writes at least 7"):
        load(WEBMUSHRA + "m,26,u1,A,C1,5,9,\nm,26,u1,A\n")


@pytest.mark.parametrize("uuid", ["", "session_uuid,"])
def test_webmushra_with_its_columns_in_another_order(uuid, load, rows):
    header = f"rating_comment,age,{uuid}trial_id,rating_stimulus,rating_score,session_test_id,town"
    rated = [("26", "u1", "C1", 5), ("26", "u1", "reference", 99), ("31", "u2", "C1", 7)]
    lines = [f"fine,{age},{who + ',' if uuid else ''}A,{c},{n},m,Rome" for age, who, c, n in rated]
    table = load("\n".join([header, *lines, ""]))
    who = ["u1", "u1", "u2"] if uuid else ["01", "01", "02"]
    assert rows(table) == [[who[0], "A", "C1", 5], [who[1], "A", "href", 99], [who[2], "A", "C1", 7]]
    assert table["session"].tolist() == ["m"] * 3
    assert table["questionnaire_age"].tolist() == ["26", "26", "31"]
    assert table[["questionnaire_town", "comment", "time_ms"]].values.tolist() == [["Rome", "fine", ""]] * 3
    with pytest.raises(InputError, match=r":3: has 2 cells, the header has"):
        load("\n".join([header, lines[0], "x,y", ""]))


def test_webmushra_saved_again_by_a_spreadsheet(load, rows):
    text = WEBMUSHRA.replace("\n", ",,\n") + "m,26,u1,A,C1,5,900,,,\nm,26,u1,A,reference,99,900,fine\n"
    table = load(text)
    assert rows(table) == [["u1", "A", "C1", 5], ["u1", "A", "href", 99]]
    with pytest.raises(InputError, match=r":3: cell 9 \('more'\) has no heading"):
        load(text.replace("fine", "fine,more"))


def test_webmushra_with_one_question_asked_twice(load):
    with pytest.raises(InputError, match=":1: a column is named twice: age"):
        load(WEBMUSHRA.replace("age", "age,Age") + "m,26,27,u1,A,C1,5,9,\n")


def test_webmushra_with_a_blinding_key(load):
    text = WEBMUSHRA + "m,2,u1,A,reference,99,9,\nm,2,u1,A,0badcafe,50,9,\n"
    assert load(text, key={"A": {"0badcafe": "prop"}})["condition"].tolist() == ["href", "prop"]


def test_webmushra_session_posted_twice(load):
    with pytest.raises(InputError, match=r":3: .*already rated in line 2"):
        load(WEBMUSHRA + 2 * "m,26,u1,A,C1,5,9,\n")


def test_pymushra(load, rows):
    text = (
        "wm_type;responses_score;questionaire_age;responses_stimulus;wm_id;questionaire_uuid;wm_testId;wm_date;"
        "responses_time;responses_comment\n"
        "mushra;80;26;C1;trial1;u1;demo;2024-01-02 10:00:00;900;fine\n"
        "mushra;100;26;reference;trial1;u1;demo;2024-01-02 10:00:00;900;\n"
        "paired_comparison;1;26;x;pc;u1;demo;2024-01-02 10:00:00;900;\n"
    )
    table = load(text)
    assert rows(table) == [["u1", "trial1", "C1", 80], ["u1", "trial1", "href", 100]]
    assert table["session"].unique().tolist() == ["demo"]
    further = ["questionnaire_age", "date", "time_ms", "comment"]
    assert table[further].iloc[0].tolist() == ["26", "2024-01-02 10:00:00", "900", "fine"]
    with pytest.raises(InputError, match=r":3: has 2 cells"):
        load(text.replace("mushra;100;26;reference;trial1;u1;demo;2024-01-02 10:00:00;900;", "mushra;100"))


PYMUSHRA_JSON = [
    {"questionaire_uuid": "u1", "responses_comment": "fine", "responses_score": 80, "responses_stimulus": "C1",
     "responses_time": 3000, "wm_date": "2026-11-28 14:00:00", "wm_id": "Beach", "wm_testid": "t",
     "wm_type": "mushra"},
    {"wm_type": "paired_comparison", "wm_id": "x", "responses_stimulus": None},
    {"responses_stimulus": "reference", "responses_score": 99.5, "questionaire_uuid": "u1", "wm_id": "Beach",
     "wm_testid": "t", "wm_type": "mushra", "responses_comment": None},
]  # fmt: skip


@pytest.mark.parametrize("indent", [None, 1])
def test_pymushra_in_json(tmp_path, indent, rows):
    ratings = read(write_json(tmp_path, PYMUSHRA_JSON, indent), key={"Beach": {"C1": "prop"}})
    assert ratings.formats == ("pymushra",)
    assert rows(ratings.table) == [["u1", "Beach", "prop", 80], ["u1", "Beach", "href", 99.5]]
    assert ratings.table[["comment", "time_ms", "date"]].values.tolist() == [
        ["fine", "3000", "2026-11-28 14:00:00"], ["", "", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), [
    ({"responses_score": float("nan")}, ":1: score 'NaN' is not a number"),
    ({"responses_score": 10**400}, ":1: score 10+... is outside 0 to 100"),
    ({"responses_score": [1]}, ":1: responses_score is neither text nor a number"),
    ({"wm_id": {"a": 1}}, ":1: wm_id is neither text nor a number"),
    ({"wm_id": ""}, ":1: item '' is empty"),
])  # fmt: skip
def test_pymushra_in_json_with_errors(tmp_path, change, what):
    with pytest.raises(InputError, match=what):
        read(write_json(tmp_path, [PYMUSHRA_JSON[0] | change], None))


def test_pymushra_in_json_without_scores(tmp_path):
    with pytest.raises(InputError, match="one name in capitals and in small letters"):
        read(write_json(tmp_path, [PYMUSHRA_JSON[0] | {"WM_id": "Park"}], None))
    with pytest.raises(InputError, match="without responses_score, wm_id"):
        read(write_json(tmp_path, [{"responses_stimulus": "C1"}], None))


def write_json(folder, value, indent):
    path = folder / "mushra.json"
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    return path
