"""Every command line answers --help, without loading what only its work needs.

The import of numpy alone takes longer than a help text may. Which modules are imported does not depend on
the machine, the time they take does.
"""

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
import runpy, sys
module = sys.argv.pop(1)
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    status = end.code or 0
print("heavy:", *(name for name in {HEAVY} if name in sys.modules))
sys.exit(status)
"""


def test_the_command_lines_of_the_design_are_there():
    assert {
        "stimuli.synth", "stimuli.prepare", "stimuli.hoastats", "codec.train", "codec.encode", "codec.decode",
        "codec.inspect", "codec.truncate", "codec.profile", "codec.transfer", "codec.weights",
        "render.decode", "render.inspect", "listening.build", "listening.export", "analysis.mushra",
    } <= set(MODULES)  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_help_answers_at_once(module):
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, module, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    *text, imported = answer.stdout.splitlines()
    assert text[0].startswith(f"usage: python -m {module}")
    assert imported == "heavy:"


@pytest.mark.parametrize("module", ["stimuli.prepare", "analysis.mushra"])
def test_a_wrong_argument_is_status_2_and_tells_the_usage(module):
    answer = subprocess.run(
        [sys.executable, "-m", module, "--nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage:")
