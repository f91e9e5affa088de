"""The command stimuli.events."""

import json
import sys

import pytest

from render.common.errors import InputError
from stimuli import events
from stimuli.event_scenes.events import EVENTS


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["events", *map(str, arguments)])
    events.main()


def test_it_writes_every_event_in_every_place(tmp_path, monkeypatch, capsys):
    run(monkeypatch, "--seconds", 2, "-o", tmp_path)
    names = {path.stem for path in tmp_path.glob("*.wav")}
    assert names == {f"{name}_{place}" for name in EVENTS for place in ("dry", "room")}
    assert all("truth" in json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert "16 synthetic event scenes of 2 s" in capsys.readouterr().out


def test_some_events_and_misspelt_ones(tmp_path, monkeypatch):
    run(monkeypatch, "--seconds", 2, "--events", "bark,ticks", "--places", "dry", "-o", tmp_path)
    assert {path.stem for path in tmp_path.glob("*.wav")} == {"bark_dry", "ticks_dry"}
    with pytest.raises(InputError, match="event 'bork'"):
        run(monkeypatch, "--events", "bork", "-o", tmp_path)
