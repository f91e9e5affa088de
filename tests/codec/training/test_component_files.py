"""Principal components of recordings: several processes make what one makes."""

import os

import pytest

from codec.rvqgan.config import ModelConfig
from codec.training import component_files as module
from codec.training.recordings import SignalFormat, open_recordings


@pytest.mark.parametrize(
    ("seconds", "processes", "expected"), [(119, 1, 0), (600, 1, 5), (1e5, 1, 16), (1e5, 8, 2)]
)
def test_processes_are_started_where_they_are_worth_it(monkeypatch, seconds, processes, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert module._workers(seconds) == expected


def test_processes_write_the_files_of_one(tmp_path, material, monkeypatch):
    recordings = open_recordings(sorted(material(4).glob("*.1.wav")), SignalFormat(4, 44_100), -24.0)
    config = ModelConfig(channels=4, strides=(2, 4), side_layers=True)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    units = module.training_units(config, len(recordings))
    alone = module.component_files(recordings, units, config, tmp_path / "one")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(module, "WORKER_S", 0.5)  # the two recordings have 1.2 s
    together = module.component_files(recordings, units, config, tmp_path / "two")
    assert [r.path.name for r in alone] == [r.path.name for r in together]
    assert [r.path.read_bytes() for r in alone] == [r.path.read_bytes() for r in together]
    assert [(r.gain, r.length) for r in alone] == [(r.gain, r.length) for r in together]


def test_three_of_four_recordings_pass_with_coefficients():
    config = ModelConfig(channels=16, side_layers=True)
    assert module.training_units(config, 6) == [30, 30, 30, 0, 30, 30]
    assert module.training_units(ModelConfig(channels=16), 4) == [0, 0, 0, 0]
