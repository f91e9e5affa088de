"""The attack of ``make fuzz`` in short: every reader answers changed files with a result or one clear error."""

import runpy
from pathlib import Path


def test_no_reader_has_another_answer_than_a_result_or_an_input_error(background):
    fuzz = Path(__file__).with_name("fuzz.py")
    status, said, failed = background(fuzz, "--inputs", 25, "--seconds", 600, "--workers", 2).wait(600)
    assert status == 0, said.decode() + failed
    targets = runpy.run_path(str(fuzz.with_name("fuzz_targets.py")))["TARGETS"]
    assert said.count(b"25 inputs in") == len(targets) >= 30
