"""Wide tables: which columns are conditions, what is left out, and what is refused as doubtful."""

import pytest

from analysis.ratings.table import read
from render.common.errors import InputError


def load(tmp_path, text, **options):
    path = tmp_path / "wide.csv"
    path.write_text(text, encoding="utf-8")
    return read(path, **options)


def rows(ratings):
    return ratings.table[["listener", "item", "condition", "score"]].values.tolist()


def with_column(name, values):
    """Two listeners, two items, two systems and the references, and one more column."""
    scores = ["99,10,40,62", "98,12,71,55", "97,9,35,80", "100,20,44.5,61"]
    cells = ["anna,x", "anna,y", "bo,x", "bo,y"]
    lines = [f"{cell},{more},{score}" for cell, more, score in zip(cells, values, scores, strict=True)]
    return "\n".join([f"listener,item,{name},href,la,opus,prop", *lines, ""])


def test_wide_tables(tmp_path):
    assert rows(load(tmp_path, "listener,item,la,href\nanna,x,10,99\n")) == [
        ["anna", "x", "la", 10], ["anna", "x", "href", 99],
    ]  # fmt: skip
    assert rows(load(tmp_path, "worker_id,x_la,x_href,y_la,y_href\nanna,1,2,3,4\n")) == [
        ["anna", "x", "la", 1], ["anna", "x", "href", 2], ["anna", "y", "la", 3], ["anna", "y", "href", 4],
    ]  # fmt: skip
    with pytest.raises(InputError, match=r":2: score 'soon' is not a number"):
        load(tmp_path, "listener,item,la,href\nanna,x,10,soon\n")


@pytest.mark.parametrize(("name", "values"), [
    ("age", [23, 23, 31, 31]), ("Age", [1, 2, 3, 4]), ("order", [1, 2, 2, 1]), ("mean", [50, 50, 50, 50]),
    ("time_ms", [1, 5, 4, 4]), ("comment", ["", "good", "", ""]), ("headphone model", ["HD 600", "", "K 701", ""]),
    ("empty", ["", "", "", ""]),
])  # fmt: skip
def test_a_column_that_is_no_condition_is_left_out_with_a_word(tmp_path, name, values):
    ratings = load(tmp_path, with_column(name, values))
    assert set(ratings.table["condition"]) == {"href", "la", "opus", "prop"}
    assert ratings.notes == (
        f"wide.csv: columns taken as conditions: href, la, opus, prop; columns left out: {name}",
    )


@pytest.mark.parametrize(("name", "values", "why"), [
    ("years", [23, 23, 31, 31], r"'years' \(one value for each listener\)"),
    ("kbps", [64, 96, 64, 96], r"'kbps' \(one value for each item\)"),
    ("turn", [2, 1, 1, 2], r"'turn' \(it counts\)"),
    ("line", [4, 5, 6, 7], r"'line' \(it counts\)"),
    ("both", [51, 63, 57.5, 52.8], r"'both' \(the mean of the others\)"),
    ("seconds", [99, 140, 80, 70], ":3: '140' in column 'seconds' is outside 0 to 100"),
    ("headset", [99, "A7", 80, 70], ":3: 'A7' in column 'headset' is not a number"),
    ("new", [99, "NA", 80, 70], ":3: 'NA' in column 'new' is not a number; leave a cell empty"),
])  # fmt: skip
def test_a_doubtful_column_is_refused_by_name_and_conditions_decides(tmp_path, name, values, why):
    text = with_column(name, values)
    with pytest.raises(InputError, match=rf"wide\.csv.*{why}.*--conditions"):
        load(tmp_path, text)
    ratings = load(tmp_path, text, conditions=["opus", "prop"])
    assert set(ratings.table["condition"]) == {"opus", "prop"}
    assert ratings.notes == (
        f"wide.csv: columns taken as conditions: opus, prop; columns left out: {name}, href, la",
    )


def test_conditions_override_the_doubt_and_must_be_there(tmp_path):
    text = with_column("years", [23, 23, 31, 31])
    taken = load(tmp_path, text, conditions=["years", "prop"]).table
    assert taken[taken["condition"] == "years"]["score"].tolist() == [23, 23, 31, 31]
    with pytest.raises(InputError, match=r"--conditions prob: there is no such column; did you mean prop\?"):
        load(tmp_path, text, conditions=["prob"])
    with pytest.raises(InputError, match=r"--conditions names columns of a wide table, but .* are long CSV"):
        load(tmp_path, "listener,item,condition,score\na,x,prop,5\n", conditions=["prop"])


def test_a_new_system_with_ordinary_scores_is_a_condition(tmp_path):
    ratings = load(tmp_path, with_column("codec7", [51, 60, 48, 77]))
    assert set(ratings.table["condition"]) == {"codec7", "href", "la", "opus", "prop"}
    assert ratings.notes[0].endswith("; none is left out")


def test_repeated_ratings_of_a_wide_table_are_numbered(tmp_path):
    table = load(tmp_path, "listener,item,replicate,la,href\na,x,1,10,99\na,x,2,20,97\n").table
    assert table["replicate"].tolist() == [1, 1, 2, 2]
    assert table["score"].tolist() == [10, 99, 20, 97]


def test_decimal_commas_of_a_wide_table_and_no_change_of_its_names(tmp_path):
    table = load(tmp_path, "listener;item;la;opus\n1,5;2,5;10,5;99,25\n").table
    assert table.iloc[0].tolist()[1:4] == ["1,5", "2,5", "la"]
    assert table["score"].tolist() == [10.5, 99.25]


def test_columns_of_files_with_others_beside_them(tmp_path):
    text = "listener,age,x_la,x_href,town,y_la,y_href\nanna,23,1,2,Rome,3,4\n"
    ratings = load(tmp_path, text)
    assert [row[1:] for row in rows(ratings)] == [
        ["x", "la", 1],
        ["x", "href", 2],
        ["y", "la", 3],
        ["y", "href", 4],
    ]
    assert ratings.notes == ("wide.csv: columns taken as conditions: la, href; columns left out: age, town",)
    with pytest.raises(InputError, match=r":1: columns that do not split .*: years; .*--conditions"):
        load(tmp_path, text.replace("age", "years"))
    with pytest.raises(InputError, match=r":1: .*do not split .*--conditions"):
        load(tmp_path, text.replace("age", "years_old"))
    named = load(tmp_path, text.replace("age", "years_old"), conditions=["la", "href"])
    assert rows(named) == rows(ratings)
    with pytest.raises(InputError, match="--conditions ma: there is no such column"):
        load(tmp_path, text, conditions=["la", "ma"])


def test_a_table_without_any_condition(tmp_path):
    with pytest.raises(InputError, match="no column holds the scores of a condition"):
        load(tmp_path, "listener,item,age,comment\nanna,x,23,fine\n")
