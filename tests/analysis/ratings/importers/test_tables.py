"""Tables with one rating per row under other headings, and exports of GoListen."""

import pytest

from analysis.ratings.cells import cells
from analysis.ratings.importers.tables import split_names
from analysis.ratings.table import read
from render.common.errors import InputError


def test_real_golisten(reference_ratings):
    ratings = read(reference_ratings / "drc_golisten" / "mushra.csv")
    table = ratings.table
    cube = cells(table)
    assert ratings.formats == ("GoListen",)
    assert cube.scores.shape == (19, 11, 4)
    assert set(cube.conditions) == {"lstm-32", "side-chain-c32-f4", "single-chain-c32-f4", "TCN-300-C"}
    assert cube.scores[0, 0, cube.conditions.index("side-chain-c32-f4")] == 93
    assert table["date"].iloc[0] == "2023-09-06 01:50:43"


def test_golisten_with_headings(load, rows):
    text = (
        '"Tags","","","a","b"\n"","Sound filename","","x_ref.wav","x_opus.wav","y_ref.wav","y_opus.wav"\n'
        '"Name","Date","Q","","","",""\n"T","2023-01-01","No","100","40","90","50"\n'
    )
    assert rows(load(text)) == [
        ["01", "x", "ref", 100], ["01", "x", "opus", 40], ["01", "y", "ref", 90], ["01", "y", "opus", 50],
    ]  # fmt: skip


def test_golisten_of_the_generation_before_sound_filename(load, rows):
    """As its server wrote it: file names under the headings, a column of times after each example."""
    text = (
        "Tags,,speech,,,noise,,\nName,Date,Example 1,,Time (s),Example 2,,Time (s)\n"
        ",,x_ref.wav,x_opus.wav,,y_ref.wav,y_opus.wav,\nT,2022-01-01 10:00:00,100,40,12,90,50,9\n"
    )
    table = load(text)
    assert rows(table) == [
        ["01", "x", "ref", 100], ["01", "x", "opus", 40], ["01", "y", "ref", 90], ["01", "y", "opus", 50],
    ]  # fmt: skip
    assert table["date"].unique().tolist() == ["2022-01-01 10:00:00"]


@pytest.mark.parametrize(("text", "what"), [
    ("Tags,,a,b\nName,Date,E,\n", "no row 'Sound filename'"),
    (",Sound filename,x_a.wav,x_b.wav\nT,d,5\n", r":2: has 3 cells"),
    (",Sound filename,x_a.wav,x_b.wav\nT,d,5,105\n", r":2: score 105 is outside"),
    (",Sound filename,x_a.wav,b.wav\nT,d,5,6\n", r":1: .* do not split"),
])  # fmt: skip
def test_golisten_errors(text, what, load):
    with pytest.raises(InputError, match=what):
        load(text)


def test_long_table_under_other_headings(load, rows):
    text = "participant;track;system;rating\nanna;x;A;87,5\n"
    assert rows(load(text)) == [["anna", "x", "A", 87.5]]
    with pytest.raises(InputError, match="may both be the condition"):
        load("participant,track,system,codec,rating\nanna,x,A,B,87\n")


def test_lists_in_cells(load, rows):
    text = "subject,trial,system,rating\nanna,x,\"['A', 'B']\",\"[10, 20.5]\"\n"
    assert rows(load(text)) == [["anna", "x", "A", 10], ["anna", "x", "B", 20.5]]
    assert rows(load('subject,trial,system,rating\nanna,x,"[""it\'s"", \'B\\\'s\']","[ 10,20]"\n')) == [
        ["anna", "x", "it's", 10], ["anna", "x", "B's", 20],
    ]  # fmt: skip
    for bad in (
        '"[10, 20"',
        '"[10, 20]]"',
        '"[10,, 20]"',
        '"[10 20]"',
        "[]",
        '"[10]"',
        '"[10, __import__(1)]"',
        '"[10, [1]]"',
        '"' + "[" * 300 + '"',
        "[10",
    ):
        with pytest.raises(InputError, match=r":2: "):
            load(f"subject,trial,system,rating\nanna,x,\"['A', 'B']\",{bad}\n")


def test_names_that_are_no_grid(tmp_path):
    assert split_names(tmp_path, 1, ["a_1_x", "a_1_y", "b_2_x", "b_2_y"]) == [
        ("a_1", "x"), ("a_1", "y"), ("b_2", "x"), ("b_2", "y"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="do not split"):
        split_names(tmp_path, 1, ["a_x", "a_y", "b_x", "c_y"])


def test_lists_of_listeners_and_scores(load, rows):
    text = "item,signal,participant_ids,ratings\nx,A,\"['anna', 'ben']\",\"[10, 20.5]\"\nx,B,\"['ben']\",[30]\n"
    assert rows(load(text)) == [["anna", "x", "A", 10], ["ben", "x", "A", 20.5], ["ben", "x", "B", 30]]
    with pytest.raises(InputError, match=":2: 1 listeners, but 2 scores"):
        load('item,signal,participant_ids,ratings\nx,A,"[\'anna\']","[10, 20]"\n')
    with pytest.raises(InputError, match=":2: has a list of scores, but none of listeners, items or conditions"):
        load('item,signal,participant,ratings\nx,A,anna,"[10, 20]"\n')


def test_signal_is_item_or_condition_by_what_else_there_is(load, rows):
    assert rows(load("participant,signal,system,rating\nanna,x,A,87\n")) == [["anna", "x", "A", 87]]
    assert rows(load("participant,item,signal,rating\nanna,x,A,87\n")) == [["anna", "x", "A", 87]]
    with pytest.raises(InputError, match="may both be the condition"):
        load("participant,item,signal,system,rating\nanna,x,A,B,87\n")


def test_what_listeners_told_is_kept(load):
    table = load("participant,track,system,rating,Age,Replicate\nanna,x,A,87,31,2\n")
    assert (table["questionnaire_age"].tolist(), table["replicate"].tolist()) == (["31"], [2])
    wide = load("listener,item,age,a,b\nanna,x,31,10,20\n")
    assert wide["questionnaire_age"].tolist() == ["31", "31"]
    text = (
        '"Tags","","","a","b",""\n"","Sound filename","","x_ref.wav","x_opus.wav",""\n'
        '"Name","Date","Trained?","","","Time (s)"\n"T","2023-01-01","No","100","40","9"\n'
        '"T","2023-01-02","Yes","90","41","8"\n'
    )
    golisten = load(text)
    assert golisten["questionnaire_Trained?"].tolist() == ["No", "No", "Yes", "Yes"]
    assert not [name for name in golisten.columns if "ime" in name]


def test_answers_of_real_golisten_have_numbers(reference_ratings):
    table = read(reference_ratings / "drc_golisten" / "mushra.csv").table
    assert table["questionnaire_2"].iloc[0] == "Audio engineer"
    assert set(table["questionnaire_1"]) <= {"Yes", "No"}
