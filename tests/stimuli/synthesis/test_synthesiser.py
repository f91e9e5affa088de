"""Synthetic scenes: reproducible, recognisable as what they model, different from each other."""

import json

import numpy as np
import pytest

from render.common.errors import InputError
from stimuli.eigenscape.corpus import CLASSES
from stimuli.field_statistics.acceptance_ranges import BRIGHT_CLASSES, deviations
from stimuli.field_statistics.statistics import measure
from stimuli.synthesis.synthesiser import SceneParameters, synthesise, write_scene_file

RATE_HZ = 48_000


def test_same_seed_same_bits_and_everything_else_differs():
    scene = synthesise("Park", 2, 5, 0.8, order=3)
    assert scene.shape == (16, 38_400)
    assert scene.dtype == np.float32
    np.testing.assert_array_equal(scene, synthesise("Park", 2, 5, 0.8, order=3))
    others = [("Woodland", 2, 5), ("Park", 3, 5), ("Park", 2, 6)]
    for other in others:
        correlation = np.corrcoef(scene[0], synthesise(*other, 0.8, order=0)[0])[0, 1]
        assert abs(correlation) < 0.2, other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Moon", 1, 0, 1.0), "Moon.*known are Beach"),
        (("Beach", 9, 0, 1.0), "recording 9"),
        (("Beach", 1, -1, 1.0), "seed -1"),
        (("Beach", 1, 0, 0.0), "at least one sample"),
        (("Beach", 1, 0, 1.0, 5), "order 5"),
        (("Beach", 1, 0, 1.0, 4, 96_000), "96000 Hz"),
    ],
)
def test_impossible_scenes(arguments, message):
    with pytest.raises(InputError, match=message):
        synthesise(*arguments)


def _faults(name: str, scene: np.ndarray) -> list[str]:
    """What is not as in real recordings; in a few seconds rank and diffuseness depend on what happens."""
    found = measure([scene], RATE_HZ)
    bands = {band.low_hz: band for band in found.bands}
    middle = [bands[low] for low in (400, 800, 1600)]
    checks = {
        "level": -55 < found.level_dbfs < -31,
        "peak": found.peak_dbfs < -12,
        "correlation": 0.1 < found.mean_correlation < 0.3,
        "rank, low": 1.5 < bands[50].effective_rank < 5,
        "rank, middle": all(3 < band.effective_rank < 14 for band in middle),
        "rank, noise": bands[12500].effective_rank > 12,
        "diffuseness": 0.2 < np.mean([band.diffuseness for band in middle]) < 0.8,
        "convention": found.convention == "ACN SN3D",
        "order filters": 350 < found.corners_hz.get(2, 0) < 470 and 930 < found.corners_hz.get(3, 0) < 1150,
    }
    outside = [sentence for sentence in deviations(found, name in BRIGHT_CLASSES) if " re W in dB" in sentence]
    return [f"{name}: {what}" for what in (*outside, *(what for what, holds in checks.items() if not holds))]


@pytest.mark.parametrize("name", ["QuietStreet"])
def test_a_scene_of_the_demo_passes_the_acceptance_test(name):
    found = measure([synthesise(name, 8, 1, 14.0, order=3)], RATE_HZ)
    assert deviations(found, name in BRIGHT_CLASSES) == []


def test_scenes_of_one_seed():
    """All eight classes: statistics of real recordings, and images that cannot be mistaken."""
    scenes = {name: synthesise(name, 8, 11, 4.0, order=3) for name in CLASSES}
    faults = [fault for name, scene in scenes.items() for fault in _faults(name, scene)]
    assert not faults
    correlation = {name: np.corrcoef(scene) for name, scene in scenes.items()}
    # Half the sum of absolute differences of the correlation matrices: the covariance loss of the paper
    distance = {
        (one, other): 0.5 * np.abs(correlation[one] - correlation[other]).sum()
        for one in CLASSES
        for other in CLASSES
        if one < other
    }
    assert min(distance.values()) > 10, min(distance, key=distance.__getitem__)
    assert np.mean(list(distance.values())) > 18


def test_a_file_that_differs_is_never_lost(tmp_path):
    wanted = SceneParameters("Beach", 1, 4, 9_600)
    write_scene_file(wanted, tmp_path)
    path = tmp_path / "Beach.1.wav"
    content = path.read_bytes()
    with pytest.raises(InputError, match="other parameters"):
        write_scene_file(SceneParameters("Beach", 1, 5, 9_600), tmp_path)
    assert path.read_bytes() == content
    # Made by an earlier version of this package: made again
    record = json.loads((tmp_path / "Beach.1.wav.json").read_text())
    (tmp_path / "Beach.1.wav.json").write_text(json.dumps(record | {"code": "old"}))
    write_scene_file(wanted, tmp_path)
    assert json.loads((tmp_path / "Beach.1.wav.json").read_text()) == record
    path.write_bytes(content[:-3] + b"abc")
    with pytest.raises(InputError, match="not what its record says"):
        write_scene_file(wanted, tmp_path)
    write_scene_file(wanted, tmp_path, force=True)
    assert path.read_bytes() == content
