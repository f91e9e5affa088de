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


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize(("cell", "number"), [
    ("87,5", "87.5"), (",5", ".5"), ("-0,5", "-0.5"), ("9,76e1", "9.76e1"),
    ("x,5", "x,5"), ("1,2,3", "1,2,3"), ("٨٧,٥", "٨٧,٥"), ("87,²", "87,²"),
])  # fmt: skip
def test_decimal_commas_where_the_comma_does_not_separate_cells(tmp_path, delimiter, cell, number):
    table = read_table(tmp_path / "x.csv", f'a{delimiter}b\n"{cell}"{delimiter}1\n')
    assert list(table.rows()) == [(2, [restore(cell), "1"])]
    assert table.number(cell) == (cell if delimiter == "," else number)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "\n sep=;", "sep=;;;;", "sep=|", "sep=\t"])
def test_the_first_line_by_which_excel_is_told_the_delimiter(tmp_path, first):
    delimiter = first.strip('\n ;"')[4:] or ";"
    table = read_table(tmp_path / "x.csv", f"{first}\na|b\n\n1,5|2\n".replace("|", delimiter))
    assert (table.line, table.header) == (2 + first.count("\n"), ["a", "b"])
    assert list(table.rows()) == [(4 + first.count("\n"), ["1,5", "2"])]


@pytest.mark.parametrize(("text", "header", "first"), [
    ("a;b;c;d, e, f, g, h\n1;2;97,6;\n", ["a", "b", "c", "d, e, f, g, h"], ["1", "2", "97,6", ""]),
    ("a,b,c;d;e;f\n1,2,3\n", ["a", "b", "c;d;e;f"], ["1", "2", "3"]),
    ("a\tb, c, d\n1\t2\n", ["a", "b, c, d"], ["1", "2"]),
    ("a;b, c\n1;2, 3\n", ["a", "b, c"], ["1", "2, 3"]),
    ('"a\n,b";c\n"1\n2";3\n', ["a\n,b", "c"], ["1\n2", "3"]),
])  # fmt: skip
def test_the_delimiter_is_the_one_that_the_rows_keep_to(tmp_path, text, header, first):
    table = read_table(tmp_path / "x.csv", text)
    assert table.header == header
    assert [cells for _, cells in table.rows()] == [first]


@pytest.mark.parametrize(
    "text", ["a,b,,\n1,2,,\n3,4,,\n", "a,b,,\n1,2,,\n3,4\n", "a,,b\n1,,2\n3, ,4\n", "a,b\n1,2,,\n3,4\n"]
)
def test_columns_without_a_heading_that_a_spreadsheet_left_are_left_out(tmp_path, text):
    table = read_table(tmp_path / "x.csv", text).named()
    assert table.header == ["a", "b"]
    assert [cells for _, cells in table.rows()] == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize(("text", "what"), [
    ("a,b,\n1,2,x\n", r":2: cell 3 \('x'\) has no heading"),
    ("a,,b\n1,x,2\n", r":2: cell 2 \('x'\) has no heading"),
    ("a,b,\n1,2,,x\n", r":2: cell 4 \('x'\) has no heading"),
    ("a,b,\n1\n", ":2: has 1 cells, the header has 2"),
    ("a,B,b\n1,2,3\n", ":1: a column is named twice: b"),
])  # fmt: skip
def test_text_without_a_heading_and_headings_that_come_twice_are_refused(tmp_path, text, what):
    with pytest.raises(InputError, match=what):
        list(read_table(tmp_path / "x.csv", text).named().rows())


@pytest.mark.parametrize("again", ["a,b", "A, b", "b,a"])
def test_a_second_header_is_recognised(tmp_path, again):
    with pytest.raises(InputError, match=r"x\.csv:3: is a header again"):
        list(read_table(tmp_path / "x.csv", f"a,b\n1,2\n{again}\n3,4\n").rows())
    assert len(list(read_table(tmp_path / "x.csv", "a,b\na,2\n").rows())) == 1


def test_a_decimal_comma_that_splits_a_number_is_explained(tmp_path):
    with pytest.raises(InputError, match=r":2: has 3 cells, the header has 2; if 87,5 is one number"):
        list(read_table(tmp_path / "x.csv", "a,b\nx,87,5\n").rows())


@pytest.mark.parametrize("row", [r'"say \"hi\"",1', r'"say \", hi",1', '"two\nlines \\"",1'])
@pytest.mark.parametrize("ragged", [True, False])
def test_the_quotes_of_php_are_explained(tmp_path, row, ragged):
    with pytest.raises(InputError, match=r"x\.csv:[34]: .*; PHP writes"):
        list(read_table(tmp_path / "x.csv", f"a,b\n1,2\n{row}\n").rows(ragged))


def test_a_backslash_before_a_closing_quote_is_a_backslash(tmp_path):
    assert list(read_table(tmp_path / "x.csv", 'a,b\n"C:\\",1\n').rows()) == [(2, ["C:\\", "1"])]


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
