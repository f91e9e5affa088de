"""Streams are read and cut without a network: no library of one is loaded for it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codec.bitstream.file import write_stream
from codec.bitstream.format import Header, Packet

ROOT = Path(__file__).parents[3]
HEAVY = ("torch", "numba", "scipy", "soundfile", "safetensors", "matplotlib", "pandas")
PROBE = f"""
import runpy, sys
module = sys.argv.pop(1)
if module.startswith("codec.bitstream"):
    __import__(module)
else:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
print("loaded:", *(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.fixture
def stream_path(tmp_path):
    header = Header(b"modelsha", 44_100, 1, 2, 2, 4, 512, 0, 30 * 512)
    codes = np.random.default_rng(0).integers(0, 16, (2, 30))
    file = io.BytesIO()
    write_stream(file, header, [Packet(codes)])
    path = tmp_path / "x.arvq"
    path.write_bytes(file.getvalue())
    return path


def loaded(*words):
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()[-1]


@pytest.mark.parametrize("path", sorted((ROOT / "codec" / "bitstream").glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_the_library_needs_numpy_only(path):
    assert loaded(f"codec.bitstream.{path.stem}") == "loaded:"


def test_the_commands_need_numpy_only(stream_path):
    target = stream_path.with_name("y.arvq")
    assert loaded("codec.inspect", stream_path) == "loaded:"
    assert loaded("codec.truncate", stream_path, "--codebooks", 1, "-o", target) == "loaded:"
    assert target.is_file()
