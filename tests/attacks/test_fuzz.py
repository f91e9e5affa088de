"""The attack of ``make fuzz`` in short: every reader answers changed files with a result or one clear error."""

import runpy
import subprocess
import sys
from pathlib import Path


def test_no_reader_has_another_answer_than_a_result_or_an_input_error():
    fuzz = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, fuzz, "--inputs", "25", "--seconds", "600", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    targets = runpy.run_path(str(fuzz.with_name("fuzz_targets.py")))["TARGETS"]
    assert done.stdout.count("25 inputs in") == len(targets) >= 30
