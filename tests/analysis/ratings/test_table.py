"""The tidy table: strict reading, blinding key, cube of cells, order and names of conditions."""

import json
import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.ratings.cells import cells
from analysis.ratings.table import Ratings, read, read_key, write
from render.common.errors import InputError

HEADER = "session,listener,item,condition,score\n"


ROW = "s,anna,Beach,la,20\n"


def read_csv(tmp_path, text, **options):
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    return read(path, **options).table


def test_reads_our_table(tmp_path):
    table = read_csv(tmp_path, "listener,condition,item,score,session,plays\nanna,la,Beach,2.50e1,s1,7\n")
    assert table.to_dict("records") == [
        {
            "session": "s1",
            "listener": "anna",
            "item": "Beach",
            "condition": "la",
            "replicate": 1,
            "score": 25.0,
            "plays": "7",
        }
    ]


@pytest.mark.parametrize(
    ("score", "what"),
    [
        ("abc", "not a number"), ("nan", "not a number"), ("inf", "not a number"), ("-inf", "not a number"),
        ("1_0", "not a number"), ("0x10", "not a number"), ("１０", "not a number"), ("5 5", "not a number"),
        ("-1", "outside"), ("100.01", "outside"), ("1e9", "outside"), ("1e999", "outside"),
    ],
)  # fmt: skip
def test_bad_scores_name_file_and_line(tmp_path, score, what):
    with pytest.raises(InputError, match=rf"ratings\.csv:3: score .*{what}"):
        read_csv(tmp_path, HEADER + ROW + f"s,anna,Beach,prop,{score}\n")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (ROW, "already rated in line 2"),
        ("s,,Beach,prop,1\n", "listener '' is empty"),
        ("s,anna,Beach,prop\n", "has 4 cells, the header has 5"),
        ('s,"an\x07na",Beach,prop,1\n', "control characters"),
        (f"s,{'a' * 201},Beach,prop,1\n", "longer than 200"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path, row, what):
    with pytest.raises(InputError, match=rf"ratings\.csv:3: .*{what}"):
        read_csv(tmp_path, HEADER + ROW + row)


@pytest.mark.parametrize("replicate", ["0", "x", "1.5", "-1", "1000", "²"])
def test_bad_replicates(tmp_path, replicate):
    with pytest.raises(InputError, match=r":2: replicate"):
        read_csv(tmp_path, f"session,listener,item,condition,score,replicate\ns,a,i,c,5,{replicate}\n")


@pytest.mark.parametrize("text", ["", "\n\n", HEADER, HEADER + "s,a,i,c,\n", "a,b\n1,2\n"])
def test_nothing_to_read(tmp_path, text):
    with pytest.raises(InputError, match=r"ratings\.csv"):
        read_csv(tmp_path, text)


def test_empty_score_is_a_missing_cell(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(HEADER + ROW + "s,anna,Beach,prop,\ns,ben,Beach,la,3\ns,ben,Beach,prop,4\n")
    ratings = read(path)
    assert list(cells(ratings.table).missing()) == [("anna", "Beach", "prop")]
    assert ratings.unscored == ("ratings.csv:3",)


@pytest.mark.parametrize(("score", "remedy"), [
    ("NA", "leave it empty if this was not rated"), ("-", "leave it empty"), ("n/a", "leave it empty"),
    ('"97,6"', "write 97.6"),
])  # fmt: skip
def test_a_score_that_is_no_number_is_answered_by_what_to_do(tmp_path, score, remedy):
    with pytest.raises(InputError, match=rf"ratings\.csv:3: score .* is not a number; {remedy}"):
        read_csv(tmp_path, HEADER + ROW + f"s,anna,Beach,prop,{score}\n")


def test_names_are_the_same_with_composed_and_decomposed_characters(tmp_path):
    """macOS writes e and an accent where others write é; the key, renamed conditions and columns alike."""
    text = HEADER + "s,Chlo\u00e9,Cafe\u0301,R\u00e9f,99\nt,Chloe\u0301,Caf\u00e9,Re\u0301f,97\n"
    table = read_csv(tmp_path, text, rename={"Re\u0301f": "href"})
    assert table[["listener", "item", "condition"]].drop_duplicates().values.tolist() == [
        ["Chlo\u00e9", "Caf\u00e9", "href"]
    ]
    assert cells(table).scores.tolist() == [[[98.0]]]
    wide = "listener,item,e\u0301,la\na,x,41,9\nb,y,52,8\n"
    assert set(read_csv(tmp_path, wide, conditions=["\u00e9"])["condition"]) == {"\u00e9"}
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"items": {"Cafe\u0301": {"bl\u00fcte": "pro\u0301p"}}}))
    blinded = "session,listener,item,stimulus,score\ns,a,Caf\u00e9,blu\u0308te,9\n"
    assert read_csv(tmp_path, blinded, key=read_key(path))["condition"].tolist() == ["pr\u00f3p"]
    path.write_text(json.dumps({"items": {"Cafe\u0301": {"a": "b"}, "Caf\u00e9": {"a": "b"}}}))
    with pytest.raises(InputError, match="two items have one name"):
        read_key(path)


def test_one_cell_in_both_spellings_is_rated_twice(tmp_path):
    with pytest.raises(InputError, match=r":3: .*already rated in line 2"):
        read_csv(tmp_path, HEADER + "s,e\u0301,Beach,la,9\ns,\u00e9,Beach,la,9\n")


def test_same_cell_in_two_sessions_is_a_repeated_rating(tmp_path):
    table = read_csv(tmp_path, HEADER + "mon,anna,Beach,la,20\ntue,anna,Beach,la,30\n")
    assert cells(table).scores.item() == 25


def test_two_files_of_one_test(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(HEADER + f"s,{name},Beach,la,20\n")
    assert len(read([tmp_path / "a.csv", tmp_path / "b.csv"]).table) == 2
    with pytest.raises(InputError, match="more than one of the files"):
        read([tmp_path / "a.csv", tmp_path / "a.csv"])


def test_files_with_different_further_columns(tmp_path):
    (tmp_path / "a.csv").write_text("session,listener,item,condition,score,plays\ns,a,Beach,la,20,3\n")
    (tmp_path / "b.csv").write_text(HEADER + "s,b,Beach,la,20\n")
    assert read([tmp_path / "a.csv", tmp_path / "b.csv"]).table["plays"].tolist() == ["3", ""]


def test_rename_makes_the_reference_known(tmp_path):
    assert read_csv(tmp_path, HEADER + ROW, rename={"la": "href"})["condition"].tolist() == ["href"]
    with pytest.raises(InputError, match="none of the conditions was named as href"):
        read_csv(tmp_path, HEADER + ROW, rename={"Ref": "href"})


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"layout": "7.1.4", "items": {"Beach": {"1a2b3c4d": "href", "12345678": "la"}}}))
    return read_key(path)


def test_key_undoes_the_blinding(tmp_path, key):
    text = "session,listener,item,stimulus,score\ns,a,Beach,12345678,9\ns,a,Beach,1a2b3c4d,99\n"
    assert read_csv(tmp_path, text, key=key)["condition"].tolist() == ["la", "href"]
    with pytest.raises(InputError, match="give the package's key"):
        read_csv(tmp_path, text)


@pytest.mark.parametrize(
    ("header", "row", "what"),
    [
        ("stimulus", "s,a,Beach,00000000,9", "stimulus '00000000' of item 'Beach' is not in the key"),
        ("stimulus", "s,a,Moon,12345678,9", "item 'Moon' is not in the key"),
        ("condition", "s,a,Beach,opus,9", "condition 'opus' of item 'Beach' is not in the key"),
        ("condition,stimulus", "s,a,Beach,href,12345678,9", "is 'la' by the key, not 'href'"),
    ],
)
def test_what_the_key_does_not_know(tmp_path, key, header, row, what):
    with pytest.raises(InputError, match=rf"ratings\.csv:2: .*{what}"):
        read_csv(tmp_path, f"session,listener,item,{header},score\n{row}\n", key=key)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"items": {}},
        {"items": {"A": ["x"]}},
        {"items": {"A": {"x": 1}}},
        {"items": {"A": {"x": "la", "y": "la"}}},
    ],
)
def test_keys_that_are_none(tmp_path, value):
    (tmp_path / "key.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"key\.json"):
        read_key(tmp_path / "key.json")


names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20)


names = names.map(str.strip).filter(bool).map(lambda name: unicodedata.normalize("NFC", name))


@given(
    st.dictionaries(
        st.tuples(names, names, names, names, st.integers(1, 3)), st.floats(0, 100), min_size=1, max_size=8
    )
)
def test_written_ratings_are_read_back_exactly(tmp_path_factory, ratings):
    path = tmp_path_factory.mktemp("ratings") / "r.csv"
    columns = ["session", "listener", "item", "condition", "replicate"]
    table = pd.DataFrame(list(ratings), columns=columns).assign(score=[s + 0.0 for s in ratings.values()])
    write(path, table)
    pd.testing.assert_frame_equal(read(path).table, table, check_dtype=False)


@pytest.mark.parametrize(("session", "listener", "simulated"), [
    ("simulated-1", "x", True), ("s", "Simulated-3", True), ("s", "x", False), ("unsimulated", "x", False),
])  # fmt: skip
def test_simulated_ratings_are_known_by_either_name(session, listener, simulated):
    assert (
        Ratings(pd.DataFrame({"session": ["other", session], "listener": ["y", listener]})).simulated is simulated
    )
