"""The argument parser that all commands share."""

import os

import pytest

from render.common.cli import parser, run


def parse(*words):
    command = parser("Do it.", "analysis.nothing")
    command.add_argument("files", nargs="+")
    command.add_argument("--figures", required=True)
    command.add_argument("--low-anchor")
    command.add_argument("--level", type=float)
    command.add_argument("-o", "--output")
    return command.parse_args(list(words))


@pytest.mark.parametrize(("words", "option", "suggestion"), [
    (["--figure", "all"], "--figure", "did you mean --figures?"),
    (["--fgures=all"], "--fgures", "did you mean --figures?"),
    (["-figures", "all", "x"], "-figures", "did you mean --figures?"),
    (["x", "--low_anchor", "A"], "--low_anchor", "did you mean --low-anchor?"),
    (["x", "--Output=a b"], "--Output", "did you mean --output?"),
    (["--figures", "--outptu", "x"], "--outptu", "did you mean --output?"),
    (["--zzz"], "--zzz", "--help lists the options"),
    (["-z"], "-z", "--help lists the options"),
])  # fmt: skip
def test_an_unknown_option_is_named_before_what_is_missing(capsys, words, option, suggestion):
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(f"error: there is no option {option}; {suggestion}")


def test_what_only_looks_like_an_option_is_none():
    given = parse("--figures", "all", "--level", "-5", "-oDIR", "--low-anchor=--x", "--", "-", "--zzz")
    assert (given.level, given.output, given.low_anchor, given.files) == (-5, "DIR", "--x", ["-", "--zzz"])
    assert parse("--figures", "-.5", "-a b", "--title x").files == ["-a b", "--title x"]


def test_without_a_wrong_option_the_missing_ones_are_named(capsys):
    with pytest.raises(SystemExit):
        parse()
    assert "required: files, --figures" in capsys.readouterr().err


def test_options_of_a_verb_are_known_after_it(capsys):
    command = parser("Do it.", "analysis.nothing")
    verbs = command.add_subparsers(dest="verb")
    for verb in ("encode", "decode"):
        verbs.add_parser(verb).add_argument(f"--{verb}-output")
    assert command.parse_args(["decode", "--decode-output", "x"]).decode_output == "x"
    for words, option in ((["--decode-output", "x", "decode"], "--decode-output"), (["encode", "--x"], "--x")):
        with pytest.raises(SystemExit):
            command.parse_args(words)
        assert f"there is no option {option};" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "expected"), [(None, "passive"), ("active", "active")])
def test_waiting_threads_sleep_in_every_command_unless_the_user_says_otherwise(monkeypatch, given, expected):
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    seen = []
    run(lambda: seen.append(os.environ["OMP_WAIT_POLICY"]))
    assert seen == [expected]


def test_help_tells_every_default_and_groups_what_several_commands_have(capsys):
    command = parser("Do it.", "package.verb")
    command.add_argument("file")
    command.add_argument("--share", type=float, default=0.0, help="in 100 % of cases".replace("%", "%%"))
    command.add_argument("--speed", type=int, default=3)
    command.add_argument("--told", default="x", help="what (default: the usual one)")
    command.add_argument("--empty", default="", help="nothing")
    command.add_argument("--flag", action="store_true", help="on")
    command.add_argument("-o", "--output", default="50%")
    command.add_argument("--force", action="store_true", help="replace")
    with pytest.raises(SystemExit):
        command.parse_args(["--help"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    options, output = lines[lines.index("options:") :], lines[lines.index("output:") :]
    for line in (
        "--share SHARE in 100 % of cases (default: 0.0)", "--speed SPEED default: 3",
        "--told TOLD what (default: the usual one)", "--empty EMPTY nothing", "--flag on",
    ):  # fmt: skip
        assert line in options
    assert output == ["output:", "-o OUTPUT, --output OUTPUT", "default: 50%", "--force replace"]
