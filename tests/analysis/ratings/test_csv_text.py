"""Reading and writing of spreadsheet text: what a spreadsheet or an attacker may put into it."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.ratings.csv_text import neutralise, read_table, read_text, restore, write_rows
from render.common.errors import InputError

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "'=1",
    "''@x",
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_formula_is_neutralised_and_restored(cell):
    safe = neutralise(cell)
    assert safe[0] == "'"
    assert restore(safe) == cell


@given(st.text())
def test_restore_inverts_neutralise_for_every_text(cell):
    assert restore(neutralise(cell)) == cell
    assert not neutralise(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("cell", ["", "plain", "it's", "'quoted'", "5", "a=b", " -"])
def test_harmless_cells_stay_as_they_are(cell):
    assert neutralise(cell) == cell == restore(cell)


cells = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).map(str.strip).filter(bool)
)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=5))
def test_written_cells_are_read_back(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("sheet") / "x.csv"
    write_rows(path, ["a", "b", "c"], body)
    assert [row for _, row in read_table(path, read_text(path)).rows()] == body


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_marks_and_line_ends(tmp_path, delimiter, mark, newline):
    path = tmp_path / "x.csv"
    lines = ["a|b|c", '"1|1"|2|3', "", "4|5|6"]
    path.write_bytes(mark + newline.join(lines).replace("|", delimiter).encode())
    table = read_table(path, read_text(path))
    assert (table.line, table.header) == (1, ["a", "b", "c"])
    assert list(table.rows()) == [(2, [f"1{delimiter}1", "2", "3"]), (4, ["4", "5", "6"])]


def test_line_number_counts_lines_inside_quotes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n"one\ntwo",1\n3,4\n')
    table = read_table(path, read_text(path))
    assert [table.line, *(line for line, _ in table.rows())] == [1, 3, 4]


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"a,b\n1,\x00\n", ":2:", "NUL"),
        (b"a,b\n1,2\n\xff\xfe,1\n", ":3:", "UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), ":", "UTF-16"),
        (b"a,b\n1,2\nJos\xe9,3\n", ":3:", "UTF-8"),
    ],
)
def test_wrong_encodings_name_the_line(tmp_path, data, where, what):
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what) as error:
        read_text(path)
    assert str(error.value).startswith(f"{path}{where}")


@pytest.mark.parametrize("text", ["a,b\n1," + "x" * 70_000 + "\n", 'a,b\n1,"open\n', 'a,b\n"x"y,1\n'])
def test_broken_rows_are_refused(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.csv:[234]: "):
        list(read_table(path, read_text(path)).rows())


def test_rows_that_do_not_fit_the_header_are_refused(tmp_path):
    table = read_table(tmp_path / "x.csv", "a,b\n1,2\n3\n")
    with pytest.raises(InputError, match=r"x\.csv:3: has 1 cells, the header has 2"):
        list(table.rows())


def test_an_empty_text_has_no_header(tmp_path):
    assert read_table(tmp_path / "x.csv", "\n\n").header == []


@pytest.mark.parametrize(("delimiter", "number"), [(";", "87.5"), ("\t", "87.5"), (",", "87,5")])
def test_decimal_commas_where_the_comma_does_not_separate_cells(tmp_path, delimiter, number):
    text = f'a{delimiter}b\n"87,5"{delimiter}"x,5"\n'
    path = tmp_path / "x.csv"
    assert list(read_table(path, text, decimal_comma=True).rows()) == [(2, [number, "x,5"])]
    assert list(read_table(path, text).rows()) == [(2, ["87,5", "x,5"])]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_text(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_text(tmp_path)


def test_numbers_are_written_as_they_are_and_nan_as_nothing(tmp_path):
    write_rows(tmp_path / "x.csv", ["name", "value"], [["-a", -1.5], ["b", float("nan")], ["c", 3]])
    assert (tmp_path / "x.csv").read_text() == "name,value\n'-a,-1.5\nb,\nc,3\n"


def test_written_file_is_plain_csv(tmp_path):
    write_rows(tmp_path / "x.csv", ["name"], [["=A1"], ['say "hi", you']])
    with open(tmp_path / "x.csv", newline="") as file:
        assert list(csv.reader(file)) == [["name"], ["'=A1"], ['say "hi", you']]
