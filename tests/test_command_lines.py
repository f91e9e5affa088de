"""Every command line answers --help, without loading what only its work needs.

The import of numpy alone takes longer than a help text may. Which modules are imported does not depend on
the machine, the time they take does.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "codec", "listening", "render", "stimuli")
MODULES = sorted(
    f"{package}.{path.stem}"
    for package in PACKAGES
    for path in (ROOT / package).glob("*.py")
    if "    run(main)\n" in path.read_text(encoding="utf-8")
)
HEAVY = ("numpy", "torch", "scipy", "pandas", "matplotlib", "soundfile", "soxr", "jaxtyping", "opuslib")
PROBE = f"""
import os, runpy, sys
for module in sys.argv[1:]:
    sys.stdout.flush()
    if process := os.fork():  # a new process each, which has loaded nothing
        os.waitpid(process, 0)
        continue
    print("command", module, flush=True)
    sys.argv[:] = [module, "--help"]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print("status", end.code or 0)
    print("heavy:", *(name for name in {HEAVY} if name in sys.modules), flush=True)
    os._exit(0)
"""


def test_no_command_is_lost_and_nothing_but_commands_stands_at_the_root_of_a_package():
    assert set(MODULES) == {
        "analysis.comparison", "analysis.correlate", "analysis.coverage", "analysis.mushra", "analysis.objective",
        "analysis.plan", "analysis.power", "analysis.report", "analysis.simulate",
        "codec.curves", "codec.decode", "codec.encode", "codec.figure1", "codec.inspect", "codec.profile",
        "codec.publish",
        "codec.train", "codec.transfer", "codec.truncate", "codec.weights",
        "listening.build", "listening.card", "listening.export", "listening.freeze", "listening.opus",
        "listening.play",
        "listening.results", "listening.serve",
        "render.adm", "render.binaural", "render.decode", "render.filters", "render.inspect", "render.layout",
        "render.quality", "render.signals",
        "stimuli.acceptance", "stimuli.events", "stimuli.hoastats", "stimuli.place", "stimuli.prepare",
        "stimuli.scatter", "stimuli.synth",
    }  # fmt: skip
    files = {f"{package}.{path.stem}" for package in PACKAGES for path in (ROOT / package).glob("*.py")}
    assert files == set(MODULES) | {
        f"{package}.{name}" for package in PACKAGES for name in ("__init__", "__main__")
    }


AFTER_MAKE_STIMULI = re.compile(
    r"data/(?:synthetic|prepared)/seed-1(?:/Beach\.8\.wav)?"
    r"|out/demo(?:/(?:package-7\.1\.4|key-7\.1\.4\.json|scenes/Beach/(?:href\.w64|prop\.(?:w64|arvq)|opus3_160\.opus)))?"
)
NEED_MORE = {
    "analysis.comparison": "a test of BS.1116, AB or ABX", "listening.results": "ratings of listeners",
    "listening.play": "a server", "codec.transfer": "a mono model", "codec.weights": "a network",
    "codec.figure1": "a mono model, or hours", "stimuli.place": "a room response",
    "stimuli.scatter": "a room response",
}  # fmt: skip


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(NEED_MORE)))
def test_help_has_an_example_that_works_after_make_stimuli(module):
    """Whose inputs `make stimuli` leaves, or an example above it writes."""
    text = ast.get_docstring(ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")))
    works, written = False, set()
    for line in re.findall(r"^    python -m (.*)$", text, re.MULTILINE):
        command, *words = line.split("#")[0].split()
        outputs = {words[words.index(name) + 1] for name in ("-o", ">") if name in words}
        outputs |= {f"runs/{words[words.index('--run') + 1]}"} if "--run" in words else set()
        inputs = {word.rpartition("=")[2] for word in words if "/" in word or "." in word.rpartition("=")[2]}
        inputs = {name for name in inputs - outputs if not re.fullmatch(r"[\d.]+", name)}
        if all(AFTER_MAKE_STIMULI.fullmatch(name) or name.startswith(tuple(written)) for name in inputs):
            written |= outputs
            works |= command == module
    assert works


def test_every_help_answers_at_once():
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, *MODULES], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    answers = re.split(r"^command (.*)\n", answer.stdout, flags=re.MULTILINE)[1:]
    assert answers[::2] == MODULES
    for module, told in zip(MODULES, answers[1::2], strict=True):
        *text, status, imported = told.splitlines()
        assert text[0].startswith(f"usage: python -m {module}")
        assert (status, imported) == ("status 0", "heavy:"), module


@pytest.mark.parametrize("module", ["stimuli.prepare", "analysis.mushra"])
def test_a_wrong_argument_is_status_2_and_tells_the_usage(module):
    answer = subprocess.run(
        [sys.executable, "-m", module, "--nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage:")
