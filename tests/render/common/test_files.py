"""Files that are whole or absent, and their records."""

import json
import os

import pytest

from render.common.errors import InputError
from render.common.files import read_json, read_record, record_path, sha256_of, whole_file, write_json


def test_a_file_is_whole_or_absent(tmp_path):
    target = tmp_path / "deep" / "x.txt"
    with pytest.raises(OSError, match="No space"), whole_file(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert list(target.parent.iterdir()) == []
    with whole_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == ["x.txt"]


def test_devices_are_neither_read_nor_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/full"):
        for force in (False, True):
            with pytest.raises(InputError, match="is a device or a pipe"), whole_file(path, force=force):
                pytest.fail("nothing is to be written")


def test_equal_content_may_be_written_again_other_content_may_not(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 1})
    with pytest.raises(InputError, match="exists and differs"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    write_json(path, {"a": 2}, force=True)
    assert read_json(path) == {"a": 2}


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    dead, alive = tmp_path / ".x.part-999999999.json", tmp_path / f".x.part-{os.getppid()}.json"
    for path in (dead, alive):
        path.write_text("half")
    write_json(tmp_path / "x.json", {})
    assert not dead.exists()
    assert alive.exists()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, "\ufeff{}"])
def test_what_is_no_json_is_one_clear_error(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(path)


def test_a_file_name_that_is_no_utf8_survives_a_record(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    write_json(tmp_path / "x.json", {"source": name, "ü": "日本"})
    assert json.loads((tmp_path / "x.json").read_bytes()) == {"source": name, "ü": "日本"}


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff", b"3"])
def test_a_file_that_is_no_record_counts_as_none(tmp_path, content):
    path = tmp_path / "x.wav"
    if content is not None:
        record_path(path).write_bytes(content)
    assert read_record(path) == {}


def test_a_key_depends_on_values_and_not_on_their_order():
    assert sha256_of({"a": 1, "b": [1.5, None]}) == sha256_of({"b": [1.5, None], "a": 1})
    assert sha256_of({"a": 1}) != sha256_of({"a": 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        sha256_of(float("nan"))
