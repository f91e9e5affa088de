"""The command stimuli.acceptance."""

import sys

import numpy as np
import pytest

from render.fileio.audio_file import writer
from stimuli import acceptance


def test_the_command_line_reports_and_ends_with_status_1(tmp_path, monkeypatch, capsys):
    with writer(tmp_path / "Beach.1.wav", 16, 48_000) as file:
        file.write(0.01 * np.random.default_rng(0).standard_normal((16, 48_000)).astype(np.float32))
    monkeypatch.setattr(sys, "argv", ["acceptance", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        acceptance.main()
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert "Beach.1.wav: not accepted" in printed
    assert "0 of 1 accepted" in printed
