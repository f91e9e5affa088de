import sys

import numpy as np
import pytest

from render.fileio.audio_file import info, read
from render.hoa.layout import layout
from render.loudspeakers.test_signals import write_signal
from render.signals import main


def test_the_command_tells_which_channel_sounds_when(tmp_path, monkeypatch, capsys):
    out = tmp_path / "id.wav"
    monkeypatch.setattr(
        sys, "argv",
        ["render.signals", "identification", "--layout", "7.1.4", "--order", "wav", "--rate", "8000",
         "-o", str(out)],
    )  # fmt: skip
    main()
    said = capsys.readouterr().out
    assert "     6.0 s  channel  7  M+090" in said
    samples, rate = read(out)
    assert info(out).channel_mask == 0x2D63F
    assert np.abs(samples[6, 6 * rate : 7 * rate]).max() > 0.1
    assert not samples[4, 6 * rate : 7 * rate].any()
    record = write_signal(layout("7.1.4"), "alignment", tmp_path / "level.wav", 8000)
    assert record["listening_level_dba"] == pytest.approx(74.59)
