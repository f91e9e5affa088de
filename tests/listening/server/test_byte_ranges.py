"""Ranges of bytes by the examples of RFC 9110, clause 14.1.2, and every range of a short file against slices."""

import pytest

from listening.server.byte_ranges import Unsatisfiable, byte_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-499", (0, 500)),
        ("bytes=500-999", (500, 1000)),
        ("bytes=-500", (9500, 10000)),
        ("bytes=9500-", (9500, 10000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=-1", (9999, 10000)),
    ],
)
def test_examples_of_the_rfc(header, expected):
    assert byte_range(header, 10000) == expected


def test_every_range_of_a_short_file_is_the_slice_that_it_says():
    content = bytes(range(7))
    for first in range(9):
        for last in range(first, 9):
            part = content[first : last + 1]
            if part:
                start, end = byte_range(f"bytes={first}-{last}", 7)
                assert content[start:end] == part
            else:
                with pytest.raises(Unsatisfiable):
                    byte_range(f"bytes={first}-{last}", 7)
    for count in range(1, 9):
        start, end = byte_range(f"bytes=-{count}", 7)
        assert content[start:end] == content[-count:]


@pytest.mark.parametrize("header", ["bytes=0-0,2-3", "bytes=7-", "bytes=-0", "bytes=99999999999999999999-"])
def test_several_ranges_and_ranges_outside_are_refused(header):
    with pytest.raises(Unsatisfiable):
        byte_range(header, 7)


@pytest.mark.parametrize(
    "header",
    [None, "", "items=0-3", "bytes=", "bytes=-", "bytes=a-b", "bytes=3-2", "bytes=1.5-2", "bytes=٣-٤",
     "bytes=+1-2", "BYTES 0-3", "bytes=0-3-5", "bytes=" + 5000 * "9" + "-"],
)  # fmt: skip
def test_what_is_no_range_is_ignored(header):
    assert byte_range(header, 7) is None


def test_no_file_has_a_range_if_it_is_empty():
    with pytest.raises(Unsatisfiable):
        byte_range("bytes=0-", 0)
