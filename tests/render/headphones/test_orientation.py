"""Heads that are turned, and that move."""

import numpy as np
import pytest

from render.common.errors import InputError
from render.headphones.orientation import Trajectory, head_rotation, read_trajectory, scene_matrices, turned
from render.hoa.spherical_harmonics import spherical_harmonics

RATE_HZ = 48_000


def wave(azimuth_deg, elevation_deg=0.0, order=3):
    return spherical_harmonics(order, *np.radians([[azimuth_deg], [elevation_deg]]))[0]


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "source", "heard"),
    [
        (90, 0, 0, (90, 0), (0, 0)),  # the head faces what was on its left
        (0, 40, 0, (0, 40), (0, 0)),  # it looks up to what is above
        (0, 0, 90, (-90, 0), (0, 90)),  # on the right shoulder: what was on the right is above
        (0, 0, 30, (90, 0), (90, -30)),  # and what is on the left is below the left ear
        (90, 40, 0, (90, 40), (0, 0)),  # yaw first, then pitch about the ears
        (90, 0, 90, (0, 0), (0, 90)),  # and last the roll about the nose
    ],
)
def test_a_turned_head_hears_the_scene_from_elsewhere(yaw, pitch, roll, source, heard):
    matrix = scene_matrices(3, head_rotation(*np.array([yaw, pitch, roll], float)))
    np.testing.assert_allclose(matrix @ wave(*source), wave(*heard), atol=1e-12)


def test_between_two_rows_the_head_turns_the_short_way():
    path = Trajectory(np.array([1.0, 2.0]), np.array([[170.0, 0, 0], [-170.0, 0, 0]]))
    at = path.at(np.array([0.0, 1.25, 1.5, 3.0])).as_euler("ZYX", degrees=True)[:, 0]
    np.testing.assert_allclose(at % 360, [170, 175, 180, 190], atol=1e-9)


def test_a_head_that_keeps_still_is_a_turned_scene_and_the_cut_does_not_matter():
    scene = np.random.default_rng(0).standard_normal((16, 3000)).astype(np.float32)
    still = Trajectory(np.zeros(1), np.array([[30.0, -20.0, 10.0]]))
    expected = scene_matrices(3, head_rotation(*still.angles_deg[0])) @ scene
    whole = np.concatenate(list(turned([scene], still, 3, RATE_HZ)), axis=1)
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    moving = Trajectory(np.array([0.0, 0.05]), np.array([[0.0, 0, 0], [120.0, 30.0, -40.0]]))
    whole = np.concatenate(list(turned([scene], moving, 3, RATE_HZ)), axis=1)
    for step in (1, 255, 700, 2999):
        cut = (scene[:, start : start + step] for start in range(0, 3000, step))
        np.testing.assert_array_equal(np.concatenate(list(turned(cut, moving, 3, RATE_HZ)), axis=1), whole)


def test_a_turning_head_hears_a_steady_source_move_without_a_click():
    """One turn in a second, a constant wave from the front: Y is the sine of its direction, -yaw."""
    seconds = np.arange(RATE_HZ // 4) / RATE_HZ
    scene = np.repeat(wave(0)[:, None], seconds.size, axis=1).astype(np.float32)
    turning = Trajectory(np.array([0.0, 0.2, 0.4]), np.array([[0.0, 0, 0], [72.0, 0, 0], [144.0, 0, 0]]))
    found = np.concatenate(list(turned([scene], turning, 3, RATE_HZ)), axis=1)
    expected = spherical_harmonics(3, -2 * np.pi * seconds, np.zeros(seconds.size)).T
    np.testing.assert_allclose(found, expected, atol=2e-3)
    steepest = np.abs(np.diff(expected, axis=1)).max()
    assert np.abs(np.diff(found, axis=1)).max() < 1.05 * steepest


def written(tmp_path, text):
    (tmp_path / "head.csv").write_text(text)
    return tmp_path / "head.csv"


def test_a_file_is_read(tmp_path):
    found = read_trajectory(written(tmp_path, "time_s,yaw_deg,pitch_deg,roll_deg\n0,1,2,3\n\n0.5,-4,5,6\n"))
    np.testing.assert_array_equal(found.times_s, [0, 0.5])
    np.testing.assert_array_equal(found.angles_deg, [[1, 2, 3], [-4, 5, 6]])
    found = read_trajectory(written(tmp_path, "time_s, yaw_deg\n0,7\n"))
    np.testing.assert_array_equal(found.angles_deg, [[7, 0, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line is '', needed is time_s,yaw_deg,pitch_deg,roll_deg"),
        ("yaw_deg,time_s\n0,1\n", "the first line is"),
        ("time_s,yaw_deg,tilt\n0,1,2\n", "the first line is"),
        ("time_s,yaw_deg,yaw_deg\n0,1,2\n", "the first line is"),
        ("time_s,yaw_deg\n", "0 rows"),
        ("time_s,yaw_deg\n0,left\n", "row 2: '0,left' is not 2 numbers"),
        ("time_s,yaw_deg\n0,1\n1\n", "row 3: '1' is not 2 numbers"),
        ("time_s,yaw_deg\n0,nan\n", "row 2: '0,nan' is not 2 numbers"),
        ("time_s,yaw_deg\n0,1\n0,2\n", "row 3: its time is not after that of the row before"),
    ],
)
def test_a_file_that_is_no_trajectory_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"head\.csv: .*{message}|head\.csv: {message}"):
        read_trajectory(written(tmp_path, text))
    with pytest.raises(InputError, match="no such file"):
        read_trajectory(tmp_path / "none.csv")
