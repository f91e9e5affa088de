"""Standard streams that are closed or full, that lack characters, and names that would play with a terminal."""

import io
import os
import pty
import subprocess
import sys

import pytest

from render.common.streams import PrintableStream, printable

PRINTS = """
import sys
from render.common.cli import run
from render.common.errors import InputError
def main():
    {work}
run(main)
"""


def command(work, redirection="", **environment):
    """Run lines as a command, its streams redirected by the shell."""
    shell = f'exec "$0" -c "$1" {redirection}'
    return subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, PRINTS.format(work=work)],
        capture_output=True, env=os.environ | environment, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x9b31m\x07\r", r"\u001b[2J\u009b31m\u0007\u000d"),
        ("a\u202egpj.exe\u2066", r"a\u202egpj.exe\u2066"),
        ("\u200e\u200f\u061c\u2028\u2029\x7f\x00", r"\u200e\u200f\u061c\u2028\u2029\u007f\u0000"),
        ("Łódź\t日本\nمرحبا é e\u0301 👩‍🚀", "Łódź\t日本\nمرحبا é e\u0301 👩‍🚀"),
    ],
)
def test_what_would_play_with_a_terminal_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown
    stream = io.StringIO()
    print(text, file=PrintableStream(stream, "standard output"))
    assert stream.getvalue() == shown + "\n"


def test_results_and_errors_are_printable_and_an_error_is_one_line():
    name = r"a\x1b[2J\u202eb\nc.wav"
    done = command(f"print('{name}'); raise InputError('{name}: bad')")
    assert done.returncode == 2
    assert done.stdout.decode() == "a\\u001b[2J\\u202eb\nc.wav\n"
    assert done.stderr.decode() == "error: a\\u001b[2J\\u202eb c.wav: bad\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_characters_that_the_encoding_lacks_are_escaped(encoding):
    work = r"print('é → \udce9'); print('é → \udce9', file=sys.stderr)"
    done = command(work, PYTHONIOENCODING=encoding)
    expected = "é → \udce9".encode(encoding, "backslashreplace") + b"\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, expected)


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_file_does_not_get_the_number_of_a_closed_stream(tmp_path, redirection):
    path = tmp_path / "x"
    work = f"""
    with open({str(path)!r}, "wb") as file:
        assert file.fileno() > 2
        print("a result"); print("a remark", file=sys.stderr)
        import os; os.system("echo from a program; echo from a program >&2")
        file.write(b"samples")"""
    done = command(work, redirection)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == b"samples"
    assert (b"a remark" in done.stdout) is False
    assert (b"a result" in done.stdout) == (">&-" not in redirection.replace("2>&-", ""))


@pytest.mark.parametrize(
    ("work", "redirection", "message"),
    [
        ("from render.common.stdio import input_path\n    with input_path('-'): pass", "<&-", "input is closed"),
        (
            "from render.common.stdio import output_path\n    with output_path('-', '.wav', False): pass",
            ">&-",
            "output is closed",
        ),
    ],
)
def test_data_for_a_closed_stream_is_refused(work, redirection, message):
    done = command(work, redirection)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


WRITES_DATA = """from render.common.stdio import output_path
    with output_path('-', '.bin', False) as path: path.write_bytes(b'data')"""


@pytest.mark.parametrize("work", ["print('a result')", "print('x' * 100_000)", WRITES_DATA])
def test_a_full_output_is_one_error_that_names_it(work):
    done = command(work, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.decode() == "error: standard output: No space left on device\n"


def test_the_list_of_commands_is_one_error_too():
    words = ["/bin/sh", "-c", 'exec "$0" -m codec >/dev/full', sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


def test_a_reader_that_went_away_is_no_error():
    done = command("print('x' * 100_000)", "| :")
    assert done.stderr == b""


def test_a_full_standard_error_does_not_hide_the_status():
    assert command("raise InputError('bad')", "2>/dev/full").returncode == 2


def test_a_bar_is_drawn_in_place_and_the_name_in_it_is_printable():
    parent, child = pty.openpty()
    work = r"""
    from render.common.progress import progress
    for _ in progress(range(1), "decode \x1b]0;owned\x07.wav", 1): pass"""
    subprocess.run([sys.executable, "-c", PRINTS.format(work=work)], stderr=child, check=True, timeout=60)
    shown = os.read(parent, 4096).decode()
    os.close(parent)
    os.close(child)
    assert shown.startswith("\r\x1b[Kdecode \\u001b]0;owned\\u0007.wav █")
