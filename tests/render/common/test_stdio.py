"""The file name -."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from render.common.errors import InputError
from render.common.stdio import input_path, output_path


class Damaged(InputError):
    """An error of one kind of file."""


def test_standard_input_is_read_twice_and_called_by_its_name(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"data")))
    with pytest.raises(Damaged, match=r"^standard input: damaged$"), input_path(Path("-")) as path:  # noqa: PT012
        assert path.read_bytes() == path.read_bytes() == b"data"
        raise Damaged(f"{path}: damaged")
    assert not path.exists()


def test_standard_output_gets_the_finished_file_or_nothing(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=shown))
    with pytest.raises(InputError), output_path(Path("-"), ".bin", False) as path:  # noqa: PT012
        path.write_bytes(b"half")
        raise InputError("no")
    assert shown.getvalue() == b""
    with output_path(Path("-"), ".bin", False) as path:
        path.write_bytes(b"whole")
    assert shown.getvalue() == b"whole"


def test_an_error_of_the_system_names_the_input(tmp_path):
    with pytest.raises(OSError, match="Invalid argument") as caught, input_path(tmp_path / "x.arvq"):
        raise OSError(22, "Invalid argument")
    assert caught.value.filename == str(tmp_path / "x.arvq")
