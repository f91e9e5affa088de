"""Scenes: noise, room, level, records and what is refused."""

import json

import numpy as np
import pytest

from analysis.metrics.onsets import STEP, onsets
from render.common.errors import InputError
from render.common.files import record_path, sha256
from render.fileio.audio_file import info
from render.hoa.spherical_harmonics import acn_orders
from stimuli.auralisation.room_response import reverberation_time_s
from stimuli.event_scenes import room
from stimuli.event_scenes.events import RATE_HZ
from stimuli.event_scenes.scenes import NOISE_DB, W_DBFS, event_scene, write_event_scene


def level_db(signal):
    return 10 * np.log10(np.square(signal, dtype=np.float64).mean())


def test_pauses_hold_isotropic_noise_of_the_level_that_the_record_says():
    samples, record = event_scene("bark", "dry", 5, 4.0)
    quiet = samples[:, : round((record["truth"]["onsets_s"][0] - 0.01) * RATE_HZ)].astype(np.float64)
    assert level_db(quiet[0]) - level_db(samples[0]) == pytest.approx(
        NOISE_DB, abs=2
    )  # half a second of pink noise
    powers = np.square(quiet).mean(axis=1) * (2 * acn_orders(3) + 1)
    assert 10 * np.log10(powers / powers.mean()) == pytest.approx(np.zeros(16), abs=3)
    correlation = np.corrcoef(np.diff(quiet, axis=1))  # without the few lowest oscillations
    assert np.abs(correlation - np.eye(16)).max() < 0.1


@pytest.mark.parametrize(("name", "place"), [("talker", "dry"), ("glide", "room"), ("ticks", "dry")])
def test_w_has_the_level_of_training_unless_a_peak_forbids_it(name, place):
    samples, _ = event_scene(name, place, 2, 3.0)
    assert samples.dtype == np.float32
    peak_db = 20 * np.log10(np.abs(samples).max())
    if name == "ticks":
        assert peak_db == pytest.approx(-1, abs=1e-3)
        assert level_db(samples[0]) < W_DBFS - 3
    else:
        assert peak_db < -1
        assert level_db(samples[0]) == pytest.approx(W_DBFS, abs=0.01)


def test_the_room_adds_its_reflections_and_its_tail_after_the_same_event():
    dry, record = event_scene("bark", "dry", 7, 4.0)
    wet, in_room = event_scene("bark", "room", 7, 4.0)
    assert in_room["truth"].pop("reverberation_s") == room.REVERBERATION_S
    assert record["truth"] == in_room["truth"]
    found = []
    for samples in (dry, wet):
        signal = np.diff(samples[0].astype(np.float64))[: len(samples[0]) // STEP * STEP - STEP]
        found.append(onsets(np.square(signal).reshape(-1, STEP).mean(axis=1), RATE_HZ)[0])
    np.testing.assert_array_equal(*found)
    after = round((record["truth"]["onsets_s"][0] + 0.4) * RATE_HZ)  # the bark ends after 0.16 s
    assert level_db(wet[0, after : after + 4000]) > level_db(dry[0, after : after + 4000]) + 10


def test_reflections_of_a_source_in_front_are_those_of_the_shoebox():
    """8 x 6 x 3.2 m, source 1.5 m ahead: the front wall's image is 6.5 m away, the rear one's 9.5 m."""
    delay_s, amplitude, direction_deg = room.reflections(0.0, 0.0)
    side, ceiling = np.hypot(1.5, 6.0), np.hypot(1.5, 3.2)
    distance = np.array([6.5, 9.5, side, side, ceiling, ceiling])
    assert delay_s == pytest.approx((distance - 1.5) / 343)
    assert amplitude == pytest.approx(0.7 * 1.5 / distance)
    left_deg = np.degrees(np.arctan2(6, 1.5))
    assert direction_deg[0, :4] == pytest.approx([0, 180, left_deg, -left_deg])
    assert direction_deg[1, 4:] == pytest.approx(np.degrees(np.arctan2(3.2, 1.5)) * np.array([1, -1]))


def test_the_tail_decays_in_its_time_is_isotropic_and_has_its_energy():
    response = room.reverberation(np.random.default_rng(0), 20.0, 0.0)
    tail = response[:, round(0.04 * RATE_HZ) :]  # after the last reflection
    assert reverberation_time_s(np.concatenate([[0.1], tail[0]]), RATE_HZ) == pytest.approx(0.6, rel=0.05)
    energy = np.square(tail).sum(axis=1) * (2 * acn_orders(3) + 1)
    assert energy / energy.mean() == pytest.approx(np.ones(16), abs=0.1)
    kept = 10 ** (-6 * 0.02 / 0.6)  # of the energy, 20 ms after the tail's beginning
    assert energy.mean() == pytest.approx(10 ** (room.TAIL_DB / 10) * kept, rel=0.1)


def test_files_and_records_depend_on_the_seed_alone(tmp_path):
    path = write_event_scene("talker", "room", 1, 2.0, tmp_path / "a")
    about, record = info(path), json.loads(record_path(path).read_text())
    assert (about.channels, about.sample_rate_hz, about.length) == (16, RATE_HZ, 2 * RATE_HZ)
    assert record["sha256"] == sha256(path)
    assert "synthetic speech" in record["what"]
    assert record["convention"] == "ACN/SN3D"
    again = write_event_scene("talker", "room", 1, 2.0, tmp_path / "b")
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match="differs"):
        write_event_scene("talker", "room", 2, 2.0, tmp_path / "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("barks", "dry", 1, 4.0), "did you mean bark|event 'barks'"),
        (("bark", "hall", 1, 4.0), "place 'hall'; possible are dry, room"),
        (("bark", "dry", -1, 4.0), "seed -1"),
        (("bark", "dry", 1, 1.0), "1 s; possible are 2 to 60"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        event_scene(*arguments)
