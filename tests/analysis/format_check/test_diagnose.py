"""Planted faults are named, and none in faultless coded scenes; bench/format_check.py has the full counts."""

import numpy as np
import pytest

from analysis.format_check.channel_maps import FUMA, fuma_gains, transformation
from analysis.format_check.diagnose import diagnose, diagnose_files
from analysis.format_check.planted_faults import FAULTS, plant_faults
from analysis.metrics.framing import array_reader
from analysis.metrics.selftest import scene
from listening.conditions.anchors import low_pass
from render.common.errors import InputError
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import mirror_signs, spherical_harmonics, yaw_matrix

RATE = 44100
SCENE = scene(1.2, seed=7).samples


def found(test, reference=SCENE):
    return diagnose(array_reader(reference), array_reader(np.asarray(test, np.float32)), reference.shape[1],
                    test.shape[1], RATE)  # fmt: skip


def names(test, reference=SCENE):
    return {finding.fault for finding in found(test, reference)}


@pytest.mark.parametrize("fault", FAULTS)
def test_single_faults(fault):
    test, expected = plant_faults(SCENE, [fault], np.random.default_rng(len(fault)))
    assert names(test) == expected


PAIRS = [("normalisation", "mirror"), ("channel order", "delay"), ("collapsed W", "polarity"),
         ("dropped orders", "rotation"), ("gain", "normalisation")]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs(pair):
    test, expected = plant_faults(SCENE, pair, np.random.default_rng(3))
    assert names(test) == expected


@pytest.mark.parametrize(
    ("change", "fault", "what"),
    [
        (lambda x: mirror_signs(3)[:, None] * x, "mirror", "left/right"),
        (lambda x: yaw_matrix(3, np.deg2rad(30)) @ x, "rotation", "yaw 30 deg"),
        (lambda x: yaw_matrix(3, np.pi) @ x, "rotation", "yaw 180 deg"),
        (lambda x: x[list(FUMA)], "channel order", "FuMa instead of ACN"),
        (lambda x: x[::-1], "channel order", "reversed"),
        (lambda x: x[[0, 1, 2, 3, 5, 4, *range(6, 16)]], "channel order", "channels 5 at 4, 4 at 5"),
        (lambda x: x * fuma_gains(3)[:, None], "normalisation", "FuMa (MaxN) taken for SN3D"),
        (lambda x: np.roll(x, -3, axis=1), "delay", "3 samples early"),
        (lambda x: 2 * x, "gain", "+6.0 dB"),
        (lambda x: x * (np.arange(16) < 4)[:, None], "dropped orders", "2, 3"),
        (lambda x: x * 0, "unrelated", "the test is silent"),
    ],
)
def test_details(change, fault, what):
    (finding,) = found(change(SCENE))
    assert (finding.fault, finding.what) == (fault, what)
    assert 0.5 <= finding.confidence <= 1


def test_faultless_versions_have_no_faults():
    rng = np.random.default_rng(1)
    noisy = SCENE + 0.02 * rng.standard_normal(SCENE.shape)
    uneven = SCENE * 10 ** (rng.uniform(-2, 2, (16, 1)) / 20)
    for test in (SCENE, noisy, uneven, low_pass(Scene(SCENE, RATE), 3500).samples):
        assert found(test) == []


def test_another_scene_is_no_rendition():
    other = np.random.default_rng(4).standard_normal((16, 5)) @ np.random.default_rng(5).standard_normal(
        (5, 80_000)
    )
    assert names(0.1 * other) == {"unrelated"}


def test_a_scene_of_first_order():
    test = yaw_matrix(1, np.deg2rad(-40)) @ SCENE[:4]
    (finding,) = found(test, SCENE[:4])
    assert finding.what == "yaw -40 deg"


def test_transformations_move_directions():
    rng = np.random.default_rng(2)
    for _ in range(5):
        matrix = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        u = rng.standard_normal(3)
        u /= np.linalg.norm(u)
        v = matrix @ u
        y, moved = (spherical_harmonics(4, np.arctan2([w[1]], [w[0]]), np.arcsin([w[2]]))[0] for w in (u, v))
        assert transformation(4, matrix) @ y == pytest.approx(moved, abs=1e-9)


def test_files_that_cannot_be_compared(tmp_path):
    write_scene(tmp_path / "a.wav", Scene(SCENE, RATE))
    write_scene(tmp_path / "b.wav", Scene(SCENE, 48000))
    write_scene(tmp_path / "c.wav", Scene(SCENE[:4], RATE))
    with pytest.raises(InputError, match="48000 Hz"):
        diagnose_files(tmp_path / "a.wav", tmp_path / "b.wav")
    with pytest.raises(InputError, match="order 3"):
        diagnose_files(tmp_path / "c.wav", tmp_path / "a.wav")
    assert {f.fault for f in diagnose_files(tmp_path / "a.wav", tmp_path / "c.wav")} == {"dropped orders"}
