"""Hostile .dac files: nothing in them is called, nothing allocated on their word, each is one clear error."""

import io
import os
import pickle  # noqa: TID251, to write hostile files, not to read any
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from codec.descript.dac_file import read_dac
from render.common.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "dac"
WHOLE = (GOLDEN / "whole.dac").read_bytes()
METADATA = dict(
    input_db=np.array([-20.0], np.float32), original_length=1000, sample_rate=44_100, chunk_length=10, channels=1,
    padding=True, dac_version="1.0.0",
)  # fmt: skip


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def saved(path, content):
    with open(path, "wb") as file:
        np.save(file, content)
    return path


def dac(path, codes=None, without=(), **changes):
    codes = np.zeros((1, 3, 10), np.uint16) if codes is None else codes
    metadata = {name: value for name, value in {**METADATA, **changes}.items() if name not in without}
    return saved(path, {"codes": codes, "metadata": metadata})


def test_the_file_that_the_others_are_made_from_is_read(tmp_path):
    file = read_dac(dac(tmp_path / "x.dac"))
    assert file.codes.shape == (1, 3, 10)
    assert (file.input_db, file.original_length, file.chunk_length) == (-20.0, 1000, 10)


@pytest.mark.parametrize("place", ["codes", "metadata", "value", "top"])
def test_calls_of_foreign_functions_are_refused_and_not_made(tmp_path, place):
    sign = tmp_path / "sign"
    content = {"codes": np.zeros((1, 3, 10), np.uint16), "metadata": dict(METADATA)}
    if place == "value":
        content["metadata"]["input_db"] = Evil(sign)
    elif place == "top":
        content = np.array(Evil(sign), dtype=object)
    else:
        content[place] = Evil(sign)
    path = saved(tmp_path / "x.dac", content)
    with pytest.raises(InputError, match="has no place in a data file; refused"):
        read_dac(path)
    assert not sign.exists()
    np.lib.format.read_array(io.BytesIO(path.read_bytes()), allow_pickle=True)  # the stock package's way
    assert sign.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(dac_version="2.0.0"), "version '2.0.0'"),
        (dict(dac_version=1), "dac_version is not of the type str"),
        (dict(without=("padding",)), "metadata must be exactly"),
        (dict(more=1), "metadata must be exactly"),
        (dict(channels=2), "codes of 1 channels, metadata of 2"),
        (dict(channels=True), "channels is not of the type int"),
        (dict(chunk_length=0), "not a whole number of chunks"),
        (dict(chunk_length=3), "not a whole number of chunks"),
        (dict(chunk_length=5), "not a whole number of chunks"),  # padded, but in two chunks
        (dict(chunk_length=-10), "not a whole number of chunks"),
        (dict(original_length=0), "do not fit"),
        (dict(original_length=2**62), "do not fit"),
        (dict(original_length=10**600), "do not fit"),
        (dict(original_length=1e3), "original_length is not of the type int"),
        (dict(sample_rate=0), "do not fit"),
        (dict(sample_rate=2**40), "do not fit"),
        (dict(input_db=np.array([np.nan], np.float32)), "not a loudness"),
        (dict(input_db=np.array([-20.0, 3.0])), "not a loudness"),
        (dict(input_db="loud"), "not a loudness"),
        (dict(padding=1), "padding is not of the type bool"),
        (dict(codes=np.zeros((3, 10), np.uint16)), "not 16-bit integers"),
        (dict(codes=np.zeros((1, 3, 10), np.int64)), "not 16-bit integers"),
        (dict(codes=np.zeros((1, 0, 10), np.uint16)), "0 codebooks"),
        (dict(codes=np.zeros((1, 3, 0), np.uint16)), "0 frames"),
        (dict(codes=np.zeros((0, 3, 10), np.uint16), channels=0), "codes of 0 channels"),
        (dict(codes=np.zeros((1, 65, 10), np.uint16)), "65 codebooks"),
        (dict(codes=[[[1]]]), "not 16-bit integers"),
        (dict(codes=np.zeros((1, 3, 10), ">u2")), "big-endian"),
    ],
)
def test_contradictions_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_dac(dac(tmp_path / "x.dac", **changes))


def test_values_that_numpy_writes_differently_are_read(tmp_path):
    """numpy scalars, arrays in column order, and the names of numpy 1."""
    codes = np.asfortranarray(np.arange(30, dtype=np.uint16).reshape(1, 3, 10))
    path = dac(tmp_path / "x.dac", codes=codes, input_db=np.float32(-17.5))
    assert np.array_equal(read_dac(path).codes, codes)
    assert read_dac(path).input_db == -17.5
    for protocol in (2, 3, 4):
        assert np.array_equal(read_dac(pickled(tmp_path / "y.dac", protocol, codes)).codes, codes)
    old = pickled(tmp_path / "y.dac", 3, codes).read_bytes()
    (tmp_path / "y.dac").write_bytes(old.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert b"numpy.core.multiarray" in (tmp_path / "y.dac").read_bytes()
    assert np.array_equal(read_dac(tmp_path / "y.dac").codes, codes)


def pickled(path, protocol, codes):
    """What `numpy.save` writes with another protocol."""
    array = np.empty((), object)
    array[()] = {"codes": np.ascontiguousarray(codes), "metadata": METADATA}
    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
    path.write_bytes(header.getvalue() + pickle.dumps(array, protocol=protocol))
    return path


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\xff\xff", b"RIFF" + bytes(100),
        b"\x93NUMPY\x09\x00" + WHOLE[8:], WHOLE[:-1], WHOLE[:200], WHOLE + b"\x00", WHOLE[:128],
        WHOLE.replace(b"'|O'", b"'<u2'").replace(b"(), }", b"(),}"),
        WHOLE.replace(b"'shape': ()", b"'shape': (9,)"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + WHOLE[10:],
    ],
)  # fmt: skip
def test_broken_containers(tmp_path, data):
    path = tmp_path / "x.dac"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.dac: "):
        read_dac(path)


def test_shapes_that_nobody_has_paid_for(tmp_path):
    """(1, 4, 160) becomes (1, 4, 2^31): refused by the size of the content, before anything is allocated."""
    shape = WHOLE.index(b"K\x01K\x04K\xa0")
    path = tmp_path / "x.dac"
    path.write_bytes(WHOLE[:shape] + b"K\x01K\x04J\xff\xff\xff\x7f" + WHOLE[shape + 6 :])
    tracemalloc.start()
    with pytest.raises(InputError, match="does not fit its shape"):
        read_dac(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_missing_and_oversized_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_dac(tmp_path / "x.dac")
    with open(tmp_path / "x.dac", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="bytes; the maximum"):
        read_dac(tmp_path / "x.dac")


def test_a_nest_as_deep_as_the_file_is_long(tmp_path):
    path = tmp_path / "x.dac"
    path.write_bytes(WHOLE[:128] + b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")
    with pytest.raises(InputError, match=r"x\.dac: "):
        read_dac(path)
    path.write_bytes(WHOLE[:128] + b"\x80\x02N" + b"\x85" * 400_000 + b".")
    with pytest.raises(InputError, match="more than 300000 operations"):
        read_dac(path)


def test_mutated_files_are_refused_or_well_formed(tmp_path):
    """1,200 files with one to four changed bytes; the format has no checksum, so changed codes pass."""
    random = np.random.default_rng(0)
    path = tmp_path / "x.dac"
    structure = WHOLE.index(read_dac(GOLDEN / "whole.dac").codes.astype("<u2").tobytes())
    refused = 0
    for trial in range(1200):
        data = bytearray(WHOLE)
        for position in random.integers(0, structure if trial % 2 else len(data), random.integers(1, 5)):
            data[position] = random.integers(256)
        path.write_bytes(data)
        try:
            file = read_dac(path)
        except InputError:
            refused += 1
            continue
        channels, codebooks, frames = file.codes.shape
        assert channels == file.channels
        assert codebooks <= 64
        assert frames % file.chunk_length == 0
        assert file.codes.nbytes <= 4 * len(data)
        assert 1 <= file.original_length <= frames * file.sample_rate * 0.1
    assert refused > 250
