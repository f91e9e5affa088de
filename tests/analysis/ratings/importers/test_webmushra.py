"""webMUSHRA and pymushra: a real file, and files written as the programs write them."""

import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import read
from render.common.errors import InputError


def load(tmp_path, text, name="results.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path, **options).table


def rows(table):
    return table[["listener", "item", "condition", "score"]].values.tolist()


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


def test_webmushra_maps_the_conditions_it_adds(tmp_path):
    text = WEBMUSHRA + "".join(
        f'm,26,u1,"A b",{s},{n},9,"a, b"\n' for n, s in enumerate(["reference", "anchor35", "anchor70", "C1"])
    )
    assert rows(load(tmp_path, text)) == [
        ["u1", "A b", "href", 0], ["u1", "A b", "la", 1], ["u1", "A b", "ma", 2], ["u1", "A b", "C1", 3],
    ]  # fmt: skip


def test_webmushra_rows_of_a_questionnaire_changed_later(tmp_path):
    text = WEBMUSHRA + "m,26,u1,A,C1,5,9,\nm,26,male,town,u2,A,C1,6,9,\nm,u3,A,C1,7,9,\n"
    table = load(tmp_path, text)
    assert rows(table) == [["u1", "A", "C1", 5], ["u2", "A", "C1", 6], ["u3", "A", "C1", 7]]
    assert table["questionnaire_age"].tolist() == ["26", "", ""]  # which answer is which cannot be told
    assert table["time_ms"].tolist() == ["9", "9", "9"]


def test_webmushra_before_session_uuid(tmp_path):
    text = "session_test_id,age,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    text += "m,26,A,C1,1,9,\nm,26,A,C2,2,9,\nm,31,A,C1,3,9,\nm,31,A,C2,4,9,\nm,31,A,C1,5,9,\nm,31,A,C2,6,9,\n"
    table = load(tmp_path, text)
    assert table["listener"].tolist() == ["01", "01", "02", "02", "03", "03"]


def test_webmushra_file_begun_before_session_uuid_and_continued_after(tmp_path):
    """The header is written once; rows of the newer program are one cell longer than it."""
    text = "session_test_id,age,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    text += "m,26,A,C1,1,9,\nm,26,A,C2,2,9,x\nm,26,u-1,A,C1,3,9,\nm,26,u-1,A,C2,4,9,\nm,26,u-2,A,C1,5,9,\n"
    table = load(tmp_path, text)
    assert table["listener"].tolist() == ["01", "01", "02", "02", "03"]
    assert table["score"].tolist() == [1, 2, 3, 4, 5]
    assert table["comment"].tolist() == ["", "x", "", "", ""]


def test_webmushra_without_times_and_comments(tmp_path):
    text = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score\nm,u1,A,C1,1\n"
    table = load(tmp_path, text)
    assert rows(table) == [["u1", "A", "C1", 1]]
    assert (table["time_ms"].item(), table["comment"].item()) == ("", "")


def test_webmushra_row_that_is_too_short(tmp_path):
    with pytest.raises(InputError, match=r":3: has 4 cells; webMUSHRA writes at least 7"):
        load(tmp_path, WEBMUSHRA + "m,26,u1,A,C1,5,9,\nm,26,u1,A\n")


def test_webmushra_with_a_blinding_key(tmp_path):
    text = WEBMUSHRA + "m,2,u1,A,reference,99,9,\nm,2,u1,A,0badcafe,50,9,\n"
    assert load(tmp_path, text, key={"A": {"0badcafe": "prop"}})["condition"].tolist() == ["href", "prop"]


def test_webmushra_session_posted_twice(tmp_path):
    with pytest.raises(InputError, match=r":3: .*already rated in line 2"):
        load(tmp_path, WEBMUSHRA + 2 * "m,26,u1,A,C1,5,9,\n")


def test_pymushra(tmp_path):
    text = (
        "wm_type;responses_score;questionaire_age;responses_stimulus;wm_id;questionaire_uuid;wm_testId;wm_date;"
        "responses_time;responses_comment\n"
        "mushra;80;26;C1;trial1;u1;demo;2024-01-02 10:00:00;900;fine\n"
        "mushra;100;26;reference;trial1;u1;demo;2024-01-02 10:00:00;900;\n"
        "paired_comparison;1;26;x;pc;u1;demo;2024-01-02 10:00:00;900;\n"
    )
    table = load(tmp_path, text)
    assert rows(table) == [["u1", "trial1", "C1", 80], ["u1", "trial1", "href", 100]]
    assert table["session"].unique().tolist() == ["demo"]
    further = ["questionnaire_age", "date", "time_ms", "comment"]
    assert table[further].iloc[0].tolist() == ["26", "2024-01-02 10:00:00", "900", "fine"]
    with pytest.raises(InputError, match=r":3: has 2 cells"):
        load(
            tmp_path, text.replace("mushra;100;26;reference;trial1;u1;demo;2024-01-02 10:00:00;900;", "mushra;100")
        )
