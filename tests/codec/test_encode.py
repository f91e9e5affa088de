"""codec.encode as it is typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from render.common.errors import InputError

ROOT = Path(__file__).parents[2]


def test_no_command_replaces_its_own_input(run_codec, coded_files, tmp_path):
    (tmp_path / "scene.wav").write_bytes((coded_files / "scene.wav").read_bytes())
    model = ("--model", coded_files / "model.safetensors")
    with pytest.raises(InputError, match="is the input"):
        run_codec("encode", tmp_path / "scene.wav", "-o", tmp_path / "scene.wav", "--force", *model)


def test_several_files_go_into_a_folder(run_codec, coded_files, tmp_path):
    (tmp_path / "b.wav").write_bytes((coded_files / "scene.wav").read_bytes())
    model = ("--model", coded_files / "model.safetensors")
    run_codec("encode", coded_files / "scene.wav", tmp_path / "b.wav", "-o", tmp_path / "coded", *model)
    assert (tmp_path / "coded" / "b.arvq").read_bytes() == (coded_files / "x.arvq").read_bytes()
    with pytest.raises(InputError, match="need a folder"):
        run_codec("encode", coded_files / "scene.wav", tmp_path / "b.wav", "-o", tmp_path / "one.arvq", *model)


def test_pipes_and_threads_change_nothing(run_codec, coded_files):
    """The whole way through standard input and output, with another number of threads, in other processes."""
    model = ["--model", str(coded_files / "model.safetensors")]
    environment = os.environ | {f"{library}_NUM_THREADS": "3" for library in ("OMP", "OPENBLAS", "MKL")}

    def piped(verb, data):
        words = [sys.executable, "-m", f"codec.{verb}", "-", "-o", "-", *model]
        return subprocess.run(words, input=data, capture_output=True, cwd=ROOT, env=environment, check=True).stdout

    coded = piped("encode", (coded_files / "scene.wav").read_bytes())
    assert coded == (coded_files / "x.arvq").read_bytes()
    assert piped("decode", coded) == (coded_files / "x.wav").read_bytes()
