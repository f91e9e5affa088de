"""The join of ratings with the key, also where a spreadsheet has changed the names on the way."""

import json

import pytest

from analysis.ratings.table import read, read_key
from render.common.errors import InputError

ITEMS = {
    "Park": {"09dfe01f": "prop", "06820837": "la", "4e073329": "opus3_160", "f11ec22b": "href"},
    "007": {"12345e67": "la", "00000000": "href"},
    "true": {"12e00034": "la", "a2ff9134": "href"},
}


def joined(tmp_path, rows, items=None, header="session,listener,item,stimulus,score", separator=","):
    (tmp_path / "key.json").write_text(json.dumps({"items": items or ITEMS}))
    text = "\n".join([header, *rows]).replace(",", separator) + "\n"
    (tmp_path / "ratings.csv").write_text(text.replace("|", ","))
    table = read(tmp_path / "ratings.csv", read_key(tmp_path / "key.json")).table
    return list(zip(table["item"], table["condition"], strict=True))


def test_names_that_a_spreadsheet_changed_are_joined_where_it_is_unambiguous(tmp_path):
    rows = ["Park,6820837", "Park,inf", "Park,09dfe01f", "7,1.2345E+71", "7,0", "TRUE,1.2E+35"]
    assert joined(tmp_path, [f"s,a,{row},50" for row in rows]) == [
        ("Park", "la"), ("Park", "opus3_160"), ("Park", "prop"), ("007", "la"), ("007", "href"), ("true", "la"),
    ]  # fmt: skip


def test_decimal_commas_of_a_european_spreadsheet(tmp_path):
    assert joined(tmp_path, ["s,a,7,1|2345E+71,50"], separator=";") == [("007", "la")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A,inf", r"ratings\.csv:2: stimulus .inf. of item.*changed.*1e999999, 2e888888.*; enter them as text"),
        ("A,100", r"stimulus '100' of item 'A'.*spreadsheet"),
        ("A,7", r"stimulus '7' of item 'A'.*spreadsheet.*00000100"),
        ("2-Jan,7", r"item '2-Jan' is not in the key.*spreadsheet.*1-2"),
    ],
)
def test_what_cannot_be_undone_is_refused_with_its_cause(tmp_path, row, message):
    items = {"A": {"1e999999": "href", "2e888888": "la", "00000100": "ma", "1e000002": "prop"}, "1-2": {"a": "la"}}
    with pytest.raises(InputError, match=message):
        joined(tmp_path, [f"s,l,{row},50"], items)


def test_names_that_no_program_changes_are_not_blamed_on_one(tmp_path):
    with pytest.raises(InputError, match=r"may belong to another package$"):
        joined(tmp_path, ["s,l,A,7,50"], {"A": {"a1234567": "href", "3fa286c9": "la"}})


def test_files_of_webmushra_are_joined_alike(tmp_path):
    header = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment"
    rows = ["t,u,7,reference,100,1,", "t,u,7,1.2345E+71,20,1,", "t,u,Park,6820837,30,1,"]
    found = joined(tmp_path, rows, header=header)
    assert found == [("007", "href"), ("007", "la"), ("Park", "la")]
    header = "wm_id,wm_type,questionaire_uuid,responses_stimulus,responses_score"
    rows = ["7,mushra,u,reference,100", "7,mushra,u,1.2345E+71,20"]
    assert joined(tmp_path, rows, header=header) == [("007", "href"), ("007", "la")]
