"""The acceptance gate: real recordings pass, idealised and wrong ones do not."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from render.fileio.audio_file import writer
from render.hoa.spherical_harmonics import sn3d_to_n3d, spherical_harmonics
from stimuli import acceptance
from stimuli.field_statistics import acceptance_ranges as acceptance_ranges_lib
from stimuli.field_statistics.statistics import measure

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")
RATE = 48_000


def plane_waves(seconds=3.0, count=60):
    """Red noise from everywhere by an ideal encoder: no order filters, no aliasing, no capsule noise."""
    random = np.random.default_rng(0)
    azimuth, elevation = random.uniform(-np.pi, np.pi, count), np.arcsin(random.uniform(-1, 1, count))
    noise = lfilter([0.01], [1, -0.97], random.standard_normal((count, round(seconds * RATE))))
    return (spherical_harmonics(3, azimuth, elevation).T @ noise).astype(np.float32)


def test_an_ideal_encoding_is_not_what_a_microphone_records():
    told = acceptance_ranges_lib.faults(measure([plane_waves()], RATE))
    assert any("100 to 200 Hz: order 3 re W" in fault for fault in told)
    assert any("200 to 400 Hz: order 2 re W" in fault or "order 3 re W" in fault for fault in told)
    assert any("effective rank" in fault for fault in told)


def test_another_normalisation_shows_in_every_open_band():
    n3d = plane_waves() * sn3d_to_n3d(3).astype(np.float32)[:, None]
    told = acceptance_ranges_lib.faults(measure([n3d], RATE))
    assert sum("order 1 re W" in fault for fault in told) >= 5


def test_a_flat_spectrum_is_told_unless_the_class_is_bright():
    white = plane_waves()
    white[:] = 0.01 * np.random.default_rng(1).standard_normal(white.shape)
    found = measure([white], RATE)
    assert any("slope" in fault for fault in acceptance_ranges_lib.faults(found))
    assert not any("slope" in fault for fault in acceptance_ranges_lib.faults(found, bright=True))


def test_the_command_line_tells_and_ends_with_status_1(tmp_path, monkeypatch, capsys):
    with writer(tmp_path / "Beach.1.wav", 16, RATE) as file:
        file.write(plane_waves(1.0))
    monkeypatch.setattr(sys, "argv", ["acceptance", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        acceptance.main()
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "Beach.1.wav: not accepted" in told
    assert "0 of 1 accepted" in told


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_real_recordings_pass():
    paths = sorted((Path(REFERENCE) / "audio/hoa").glob("*.wav"))
    assert paths
    assert [acceptance_ranges_lib.examine(path) for path in paths] == [[]] * len(paths)
