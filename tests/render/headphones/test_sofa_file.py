"""The process that reads SOFA files: its limits, and where it has to work."""

import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from render.common.errors import InputError
from render.headphones import sofa_file
from render.headphones.hrir import read_sofa

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sofa(tmp_path):
    with h5py.File(tmp_path / "a.sofa", "w") as file:
        file.attrs["DataType"] = "FIR"
        file["Data.IR"] = np.arange(24.0).reshape(4, 2, 3)
        file["Data.SamplingRate"] = np.array([48_000])
        file["SourcePosition"] = np.array([[0, 0, 1], [90, 0, 1], [180, 0, 1], [270, 0, 1]], ">f4")
        file["SourcePosition"].attrs["Type"] = "Spherical"
        file["SourcePosition"].attrs["Units"] = "degree, degree, metre"
        file["ReceiverPosition"] = np.array([[0, 0.09, 0], [0, -0.09, 0]])[..., None]
    return tmp_path / "a.sofa"


def test_variables_come_over_as_they_are(sofa):
    found = sofa_file.read(sofa)
    assert found.data_type == "fir"
    assert list(found.variables) == ["Data.IR", "Data.SamplingRate", "SourcePosition", "ReceiverPosition"]
    np.testing.assert_array_equal(found.variables["Data.IR"].values, np.arange(24.0).reshape(4, 2, 3))
    source = found.variables["SourcePosition"]
    np.testing.assert_array_equal(source.values, [[0, 0, 1], [90, 0, 1], [180, 0, 1], [270, 0, 1]])
    assert (source.kind, source.units) == ("spherical", "degree,degree,metre")
    assert (found.variables["Data.IR"].kind, found.variables["Data.IR"].units) == (None, None)


def test_an_endless_loop_of_the_library_ends_with_one_line(sofa, monkeypatch):
    """Strings of attributes lie in a global heap (HDF5 File Format Specification, III.E).

    Object 0 is its free space. Where that does not reach to the end of the heap, zeros follow: objects of size 0,
    which the library passes one after the other without moving on.
    """
    data = bytearray(sofa.read_bytes())
    heap = data.index(b"GCOL")
    at = heap + 16
    while index := int.from_bytes(data[at : at + 2], "little"):
        assert index < 10
        at += 16 + -(-int.from_bytes(data[at + 8 : at + 16], "little") // 8) * 8
    free = int.from_bytes(data[at + 8 : at + 16], "little")
    assert at + free == heap + int.from_bytes(data[heap + 8 : heap + 16], "little")
    data[at + 8 : at + 16] = (free - 512).to_bytes(8, "little")
    sofa.write_bytes(data)
    monkeypatch.setattr(sofa_file, "_MAX_CPU_S", 1)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"a\.sofa: damaged, the HDF5 library is not ready with it after 1 s"):
        read_sofa(sofa)
    assert time.monotonic() - begun < 20


def test_what_lies_behind_a_link_is_not_opened(sofa, tmp_path):
    """A pipe that nobody writes into would be waited for."""
    os.mkfifo(tmp_path / "pipe.h5")
    with h5py.File(sofa, "r+") as file:
        del file["Data.IR"]
        file["Data.IR"] = h5py.ExternalLink(str(tmp_path / "pipe.h5"), "/x")
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"a\.sofa: Data\.IR lies in another file"):
        read_sofa(sofa)
    assert time.monotonic() - begun < 20


def test_all_variables_together_are_bounded(sofa):
    """Each of them is stored, and would be allowed alone."""
    with h5py.File(sofa, "r+") as file:
        del file["Data.IR"]
        file["Data.IR"] = np.zeros((4, 2, 2_400_000), np.int8)
        file["Data.Delay"] = np.zeros((4, 200_000), np.int8)
    with pytest.raises(InputError, match=r"Data\.Delay of shape \(4, 200000\) and others are more than 20000000"):
        read_sofa(sofa)


SCRIPT = """
import os, sys
for number in range(3):
    os.close(number)
sys.path.insert(0, {root!r})
from pathlib import Path
from render.headphones.hrir import read_sofa
head = read_sofa(Path("a.sofa"))
Path("said").write_text(f"{{head.impulses.sum()}} {{head.sample_rate_hz}}")
"""


def test_a_plain_script_reads_a_file_in_a_bare_environment(sofa, tmp_path):
    """No guard of __main__, no standard streams, no home, a search path of its own, a relative name."""
    (tmp_path / "script.py").write_text(SCRIPT.format(root=str(ROOT)))
    environment = {"HOME": "/dev/null/home", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "said").read_text() == "276.0 48000"
