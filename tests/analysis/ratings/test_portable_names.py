"""Names that spreadsheets and casts leave alone, and those that they change."""

import io
import json

import pandas as pd
import pytest

from analysis.ratings.portable_names import as_read, is_portable


@pytest.mark.parametrize(
    "name", ["e4073329", "deadbeef", "abcdef01", "Beach", "item_01", "Marching", "decade", "May"]
)
def test_names_that_come_back_unchanged(name):
    assert is_portable(name)
    assert as_read(name) == name
    column = pd.read_csv(io.StringIO(f"stimulus\n{name}\n"))["stimulus"]
    assert column.tolist() == [name]
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(name)


@pytest.mark.parametrize(
    "name",
    ["06820837", "4e073329", "00000000", "0e000000", "12345678", "1_000", "-5", "_a", "1-2", "2024-01-02", "0x1F",
     "inf", "Inf", "INFINITY", "nan", "NaN", "NA", "null", "none", "true", "FALSE", "Yes", "off", "N",
     "dec01234", "feb00001", "MAR1", "SEPT2", "Oct-4", "march_3", ""],
)  # fmt: skip
def test_names_that_do_not(name):
    assert not is_portable(name)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("06820837", "6820837"), ("06820837", "6820837.0"), ("06820837", "6820837,0"), ("00000000", "0"),
        ("12345e03", "12345000"), ("12345e67", "1.2345E+71"), ("12345e67", "1,2345E+71"), ("4e073329", "inf"),
        ("4e073329", "Infinity"), ("true", "TRUE"), ("007", "7"), ("1_000", "1000"),
    ],
)  # fmt: skip
def test_what_a_program_makes_of_a_name_is_recognised(name, changed):
    assert as_read(name) == as_read(changed)


@pytest.mark.parametrize(
    ("name", "other"),
    [("06820837", "6820838"), ("beach", "Beach"), ("nan", "NA"), ("4e073329", "nan"), ("1", "true")],
)
def test_other_names_stay_apart(name, other):
    assert type(as_read(name)) is not type(as_read(other)) or as_read(name) != as_read(other)
