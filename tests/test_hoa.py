"""The command hoa, the lists of commands, and completion by the shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOA = "import sys; from render.common.commands import main; sys.argv[0] = 'hoa'; main()"


def hoa(*words, **environment):
    return subprocess.run(
        [sys.executable, "-c", HOA, *words],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def completions(line, tmp_path):
    """What the shell is offered for a line, by argcomplete's protocol."""
    offered = tmp_path / "offered"
    answer = hoa(
        COMP_LINE=line, COMP_POINT=str(len(line)), COMP_TYPE="9", IFS="\013", _ARGCOMPLETE="1",
        _ARGCOMPLETE_STDOUT_FILENAME=str(offered), _ARGCOMPLETE_SUPPRESS_SPACE="1",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return {word.strip() for word in offered.read_text().split("\013")}


def test_hoa_runs_the_same_command_as_python_m():
    by_module = subprocess.run(
        [sys.executable, "-m", "codec.encode", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout
    by_hoa = hoa("codec", "encode", "--help").stdout
    assert by_hoa.startswith("usage: hoa codec encode [-h] -o X.arvq")
    assert by_hoa.split("options:")[1] == by_module.split("options:")[1]


def test_hoa_lists_the_commands_of_every_package():
    listed = hoa().stdout
    for command in ("analysis mushra", "codec truncate", "listening export", "render adm"):
        assert f"hoa {command} " in listed
    assert hoa("stimuli").stdout.split()[:3] == ["hoa", "stimuli", "acceptance"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["codex", "encode"],
            "error: hoa codex: there is no such package; did you mean codec?; there are",
        ),
        (["codec", "encod"], "error: hoa codec encod: there is no such command; did you mean encode?; codec has"),
    ],
)
def test_a_misspelt_command_is_one_line_with_a_suggestion(words, message):
    answer = hoa(*words)
    assert answer.returncode == 2
    assert answer.stderr.startswith(message)
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("package", ["analysis", "codec", "listening", "render", "stimuli"])
def test_python_m_package_lists_its_commands(package):
    answer = subprocess.run(
        [sys.executable, "-m", package], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    verbs = sorted(path.stem for path in (ROOT / package).glob("*.py") if not path.stem.startswith("_"))
    lines = answer.stdout.splitlines()[2:]
    assert [line.split()[2] for line in lines] == [f"{package}.{verb}" for verb in verbs]
    assert all(len(line.split()) > 4 for line in lines)


def test_the_shell_completes_packages_verbs_and_options(tmp_path):
    assert completions("hoa co", tmp_path) == {"codec"}
    assert completions("hoa render q", tmp_path) == {"quality"}
    assert completions("hoa codec encode --cod", tmp_path) == {"--codebooks"}
    assert completions("hoa render signals --layout 7.1.4 al", tmp_path) == {"alignment"}
