"""Tables of other programs: stimuli by columns, by paths and by blinded names; what is refused."""

import pytest

from analysis.study.other_measures import read_tables
from render.common.errors import InputError

RATED = {("Beach", "prop"), ("Beach", "opus3_160"), ("Park", "prop")}
KEY = {"Beach": {"ab12": "prop", "cd34": "opus3_160"}, "Park": {"ab12": "prop"}}


def test_paths_and_columns_meet_in_one_table(tmp_path):
    (tmp_path / "own.csv").write_text("item,condition,material,mel\nBeach,prop,made,1.5\nPark,prop,made,2\n")
    (tmp_path / "peaq.csv").write_text("file,odg\nC:\\feeds\\Beach\\prop.wav,-1.2\n./Park_prop.flac,-3\n"
                                       "x/Beach_opus3_160.wav,\n")  # fmt: skip
    found = read_tables([tmp_path / "own.csv", tmp_path / "peaq.csv"], RATED).set_index(["item", "condition"])
    assert found.loc[("Beach", "prop"), ["mel", "odg"]].tolist() == [1.5, -1.2]
    assert found.loc[("Park", "prop"), "odg"] == -3
    assert found.loc[("Beach", "opus3_160")].isna().all()


def test_blinded_names_are_those_of_the_key(tmp_path):
    (tmp_path / "blind.csv").write_text("file,odg\naudio/Beach/cd34.wav,-1\naudio/Park/ab12.wav,-2\n")
    found = read_tables([tmp_path / "blind.csv"], RATED, KEY)
    assert found.to_dict("records") == [
        {"item": "Beach", "condition": "opus3_160", "odg": -1.0},
        {"item": "Park", "condition": "prop", "odg": -2.0},
    ]


@pytest.mark.parametrize(("text", "said"), [
    ("file,odg\nelsewhere.wav,1\n", ":2: elsewhere.wav is no rated stimulus"),
    ("file,odg\nBeach_prop.wav,1\nBeach/prop.wav,2\n", "occurs twice"),
    ("file,odg\nBeach_prop.wav,good\n", ":2: odg 'good' is not a number"),
    ("name,odg\nBeach_prop.wav,1\n", ":1: needs the columns item and condition, or file"),
    ("file,mel\nBeach_prop.wav,1\n", "mel is in another table too"),
])  # fmt: skip
def test_what_is_refused(tmp_path, text, said):
    (tmp_path / "own.csv").write_text("item,condition,mel\nBeach,prop,1.5\n")
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_tables([tmp_path / "own.csv", tmp_path / "other.csv"], RATED)
