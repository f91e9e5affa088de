"""Files that are whole or absent, and their records."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from render.common.errors import InputError
from render.common.files import (
    begin_inputs,
    end_inputs,
    read_json,
    read_record,
    reads,
    record_path,
    sha256_of,
    whole_file,
    write_json,
)


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


WRITES_HALF = """
import sys, time
from pathlib import Path
from render.common.files import temporary_folder, whole_file
with temporary_folder(Path(sys.argv[1]) / "x") as folder, whole_file(Path(sys.argv[1]) / "x.json") as temporary:
    (folder / "Beach.1.wav").write_text("half")
    temporary.write_text("half")
    print(temporary.name, folder.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer_process(tmp_path):
    """A process that is in the middle of writing x.json, and the names of its temporary file and folder."""
    process = subprocess.Popen([sys.executable, "-c", WRITES_HALF, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield process, process.stdout.readline().split()
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_living_process_writes_is_left_alone_and_what_a_killed_one_left_is_swept(tmp_path, writer_process):
    process, names = writer_process
    write_json(tmp_path / "x.json", {})
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", *names}
    process.kill()
    process.wait()
    write_json(tmp_path / "another name.csv", {})
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", "another name.csv"}


def test_a_zombie_is_dead(tmp_path, writer_process):
    """A killed process keeps its number until its parent has waited for it."""
    process, _ = writer_process
    process.kill()
    while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    write_json(tmp_path / "x.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_number_that_another_process_has_got_since_is_no_sign_of_life(tmp_path, writer_process):
    _, names = writer_process
    before, machine, number, started, after = re.fullmatch(r"(.*part)-(\w+)-(\d+)-(\d+)-(.*)", names[0]).groups()
    earlier = f"{before}-{machine}-{number}-{int(started) - 1}-{after}"
    (tmp_path / earlier).write_text("half")
    write_json(tmp_path / "x.json", {})
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", *names}


@pytest.mark.parametrize("other", ["host", "boot", "process table"])
def test_what_runs_on_another_machine_is_left_alone(tmp_path, writer_process, monkeypatch, other):
    """Its process number says nothing here: of containers and hosts that share a folder, numbers are equal."""
    process, names = writer_process
    process.kill()
    process.wait()
    if other == "host":
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="another"))
    elif other == "boot":
        read = Path.read_text
        monkeypatch.setattr(
            Path, "read_text", lambda path, **given: "another" if path.name == "boot_id" else read(path, **given)
        )
    else:
        monkeypatch.setattr(os, "readlink", lambda *_, **__: "pid:[1]")
    with whole_file(tmp_path / "x.json") as temporary:
        temporary.write_bytes(b"{}")
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", *names}


def test_where_nothing_can_be_proven_nothing_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "readlink", unreadable)
    with whole_file(tmp_path / "x.json") as temporary:
        temporary.write_bytes(b"{}")
        left = temporary.with_name(temporary.name.replace(f"-{os.getpid()}-", "-999999999-"))
        left.write_bytes(b"half")
    write_json(tmp_path / "y.json", {})
    assert left.exists()


def unreadable(*_, **__):
    raise PermissionError(13, "Permission denied")


def test_writers_with_equal_process_numbers_do_not_mix(tmp_path, monkeypatch):
    """Two containers write one file at the same time: each writes its own, and the last one that ends stays."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path = tmp_path / "x.bin"
    with whole_file(path, force=True) as first:
        first.write_bytes(b"first, half")
        with whole_file(path, force=True) as second:
            assert second != first
            second.write_bytes(b"second")
        assert path.read_bytes() == b"second"
        with open(first, "ab") as file:
            file.write(b" and whole")
    assert path.read_bytes() == b"first, half and whole"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_differ_in_their_suffix_are_written_at_the_same_time(tmp_path):
    with whole_file(tmp_path / "x.wav") as audio, whole_file(tmp_path / "x.csv") as table:
        table.write_text("table")
        audio.write_text("audio")
    assert [(tmp_path / name).read_text() for name in ("x.wav", "x.csv")] == ["audio", "table"]


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_that_somebody_has_put_there_is_not_followed(tmp_path, monkeypatch, target_exists):
    """Even if its name could be guessed."""
    monkeypatch.setattr(os, "urandom", bytes)
    victim, folder = tmp_path / "victim", tmp_path / "shared"
    if target_exists:
        victim.write_text("precious")
    with whole_file(folder / "x.json") as temporary:
        temporary.write_text("{}")
    (folder / "x.json").unlink()
    temporary.symlink_to(victim)
    with pytest.raises(FileExistsError, match=r"x\.json"):
        write_json(folder / "x.json", {"a": 1})
    assert victim.exists() == target_exists
    assert not (folder / "x.json").exists()


def test_the_longest_names_can_be_written(tmp_path):
    for name in ("é" * 125 + ".json", "x" * 250 + ".json", "." + "x" * 254):
        write_json(tmp_path / name, {})
    assert len(list(tmp_path.iterdir())) == 3


@pytest.fixture
def command():
    begin_inputs()
    yield
    end_inputs()


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize("force", [True, False])
def test_an_input_is_never_replaced(tmp_path, command, link, force):
    source, target = tmp_path / "in.wav", tmp_path / "in.wav"
    source.write_text("recorded")
    if link:
        target = tmp_path / "sub" / ".." / "out.wav"
        (tmp_path / "sub").mkdir()
        link(source, target)
    reads(source)
    with pytest.raises(InputError, match="is the input"), whole_file(target, force):
        pytest.fail("nothing is to be written")
    assert source.read_text() == "recorded"


def test_what_a_library_has_read_may_be_written_again(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    reads(path)
    write_json(path, {"a": 2}, force=True)
    assert read_json(path) == {"a": 2}


def test_an_error_without_a_name_gets_one(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, whole_file(tmp_path / "x.wav"):
        os.write(os.open("/dev/full", os.O_WRONLY), b"x")
    assert caught.value.filename == str(tmp_path / "x.wav")
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "x.wav"):
        (tmp_path / "no such").read_bytes()
    assert caught.value.filename == str(tmp_path / "no such")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, "\ufeff{}"])
def test_what_is_no_json_is_one_clear_error(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(path)


@pytest.mark.parametrize("text", ["NaN", '{"a": [-Infinity]}', "1e999", "[1, -1e400]"])
def test_numbers_that_are_not_finite_are_no_json(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.json: JSON with values .* is not a finite number"):
        read_json(path)


@pytest.mark.parametrize(("text", "what"), [
    ('{"a": 1, "b": {"x": 1, "\\u0078": 2}}', "'x' occurs twice in one object"),
    ("[" + "9" * 400 + "]", "is not a finite number"), ("[-" + "9" * 400 + "]", "is not a finite number"),
])  # fmt: skip
def test_json_that_readers_understand_differently_is_refused(tmp_path, text, what):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"x\.json: .*{what}"):
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
