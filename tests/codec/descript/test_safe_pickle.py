"""Pickles read as data: their dictionaries."""

import struct
import time

import pytest

from codec.descript.safe_pickle import read_pickle
from render.common.errors import InputError


def dictionary(keys):
    """A pickle of protocol 2 of a dictionary with these keys, as operations; each value is None."""
    return b"\x80\x02}(" + b"".join(key + b"N" for key in keys) + b"u."


def long(number):
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def test_keys_of_data_files_are_read():
    data = dictionary([b"X\x01\0\0\0a", b"K\x07", b"J" + struct.pack("<i", 2**31 - 1)])
    assert read_pickle(data, "x.dac", functions={}) == {"a": None, 7: None, 2**31 - 1: None}


@pytest.mark.parametrize(
    "key",
    [
        lambda i: long(i * (2**61 - 1) + 3),
        lambda i: long(-i * (2**61 - 1) - 3),
        lambda i: long(i << 40),
        lambda i: b"G" + struct.pack(">d", 2.0 ** (61 * (i % 16)) * (1 + i // 16)),
        lambda i: b"J" + struct.pack("<i", -1 - i),
        lambda i: b"J" + struct.pack("<i", i) + b"\x85",
        lambda i: b"C\x01" + bytes([i % 256]),
        lambda i: b"\x88",
        lambda i: b"cm\nf\n",
    ],
)
def test_keys_that_could_have_one_hash_are_refused_at_once(key):
    """Tens of thousands of keys of one hash would take minutes."""
    data = dictionary([key(i) for i in range(1, 70_000)])
    begin = time.perf_counter()
    with pytest.raises(InputError, match=r"x\.dac: damaged pickle .*keys"):
        read_pickle(data, "x.dac", functions={"m f": lambda: None})
    assert time.perf_counter() - begin < 10
