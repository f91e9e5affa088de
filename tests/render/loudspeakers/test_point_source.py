import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.common.errors import InputError
from render.hoa.layout import Layout, Loudspeaker, layout, layout_names
from render.hoa.spherical_harmonics import fibonacci_sphere, unit_vectors
from render.loudspeakers.point_source import pan

LAYOUTS = list(layout_names().values())
GOLDEN = json.loads((Path(__file__).parents[2] / "golden/adm_renderer.json").read_text())["panner_gains"]


def heard(name):
    return [not speaker.is_lfe for speaker in layout(name).loudspeakers]


@pytest.mark.parametrize("name", LAYOUTS)
def test_gains_equal_the_adm_renderers(name):
    gains = pan(layout(name), np.radians([62.0, -170.0]), np.radians([17.0, -40.0]))
    for found, expected in zip(gains, GOLDEN[name], strict=True):
        by_label = {label: expected.get(label, 0.0) for label in layout(name).labels}
        np.testing.assert_allclose(found, list(by_label.values()), atol=2e-9)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "0+2+0"])
def test_a_source_at_a_loudspeaker_comes_from_it_alone(name):
    speakers = layout(name).loudspeakers
    azimuth = np.radians([s.azimuth_deg for s in speakers])
    elevation = np.radians([s.elevation_deg for s in speakers])
    gains = pan(layout(name), azimuth, elevation)
    np.testing.assert_allclose(gains[heard(name)], np.eye(len(speakers))[heard(name)], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "0+2+0"])
def test_power_is_one_gains_are_not_negative_and_lfe_is_silent(name):
    gains = pan(layout(name), *fibonacci_sphere(2000))
    np.testing.assert_allclose((gains**2).sum(axis=1), 1.0, atol=1e-12)
    assert gains.min() >= 0
    assert not gains[:, np.logical_not(heard(name))].any()


def test_stereo_fades_by_three_decibels_towards_the_back():
    front, side, back = pan(layout("stereo"), np.radians([0.0, 75.0, 180.0]), np.zeros(3))
    np.testing.assert_allclose(front, [np.sqrt(0.5)] * 2, atol=1e-12)
    np.testing.assert_allclose(back, [0.5] * 2, atol=1e-12)
    assert 0.5 < (side**2).sum() < 1.0


@pytest.mark.parametrize("name", LAYOUTS)
def test_mirrored_directions_have_mirrored_gains(name):
    azimuth, elevation = fibonacci_sphere(500)
    speakers = layout(name).loudspeakers
    index = {(s.azimuth_deg % 360, s.elevation_deg, s.is_lfe): i for i, s in enumerate(speakers)}
    mirrored = [index.get((-s.azimuth_deg % 360, s.elevation_deg, s.is_lfe), i) for i, s in enumerate(speakers)]
    left, right = pan(layout(name), azimuth, elevation), pan(layout(name), -azimuth, elevation)
    np.testing.assert_allclose(left, right[:, mirrored], atol=1e-9)


@settings(deadline=None)
@given(st.sampled_from(LAYOUTS), st.floats(-np.pi, np.pi), st.floats(-np.pi / 2, np.pi / 2))
def test_gains_are_continuous(name, azimuth, elevation):
    # A step of 1e-6 rad, from which no gain may jump; the slope is largest near the poles of triangles
    nudged = np.array([azimuth, azimuth + 1e-6]), np.array([elevation, elevation])
    here, there = pan(layout(name), *nudged)
    assert np.abs(here - there).max() < 1e-3


def test_inside_the_upper_hemisphere_of_22_2_the_direction_of_the_velocity_is_kept():
    """Vector-base panning between real loudspeakers points where the source is."""
    azimuth, elevation = np.radians([20.0, 100.0, -160.0]), np.radians([10.0, 20.0, 60.0])
    speakers = layout("22.2").loudspeakers
    positions = unit_vectors(
        np.radians([s.azimuth_deg for s in speakers]), np.radians([s.elevation_deg for s in speakers])
    )
    velocity = pan(layout("22.2"), azimuth, elevation) @ positions
    velocity /= np.linalg.norm(velocity, axis=1, keepdims=True)
    np.testing.assert_allclose(velocity, unit_vectors(azimuth, elevation), atol=1e-9)


def test_loudspeakers_in_the_wrong_order_are_refused():
    """BS.2051 lets M+090 and M+135 of 10.2 stand anywhere from 60 to 150 degrees, but not past each other."""
    azimuths_deg = {"M+090": 64.6, "M+135": 62.3, "M-090": -85.6, "M-135": -72.5}
    crossed = Layout(
        "3+7+0",
        tuple(
            replace(s, azimuth_deg=azimuths_deg.get(s.label, s.azimuth_deg)) for s in layout("10.2").loudspeakers
        ),
    )
    with pytest.raises(
        InputError, match=r"3\+7\+0: no loudspeakers surround azimuth .*check the measured positions"
    ):
        pan(crossed, *fibonacci_sphere(500))


def own(*positions_deg):
    return Layout("own", tuple(Loudspeaker(str(i), float(a), float(e)) for i, (a, e) in enumerate(positions_deg)))


def ring(count, elevation_deg, first_deg=0.0):
    return [((first_deg + 360 * i / count + 180) % 360 - 180, elevation_deg) for i in range(count)]


SETS = {
    "one": own((0, 0)),
    "front": own((30, 0), (-30, 0), (0, 0)),
    "pair": own((90, 0), (-90, 0)),
    "quad": own(*ring(4, 0, 45)),
    "cube": own(*ring(4, 35.264, 45), *ring(4, -35.264, 45)),
    "octahedron": own((0, 90), (0, -90), *ring(4, 0)),
    "hemisphere": own(*ring(8, 0, 22.5), *ring(4, 45, 45), (0, 90)),
    "dome": own(*ring(12, 0), *ring(8, 28), *ring(4, 60, 45)),
    "dome without middle layer": own(*ring(8, 12), *ring(5, 50)),
    "irregular": own((28, 2), (-33, 1), (95, 4), (-88, 0), (142, 0), (-150, 3), (50, 41), (-44, 38), (130, 45)),
}


@pytest.mark.parametrize("name", ["0+5+0", "4+5+1", "9+10+3", "4+7+0"])
def test_a_set_that_stands_where_a_standard_layout_does_is_panned_like_it(name):
    room = Layout("room", layout(name).loudspeakers)
    directions = fibonacci_sphere(500)
    np.testing.assert_allclose(pan(room, *directions), pan(layout(name), *directions), atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_any_set_has_gains_of_unit_power_and_plays_a_source_at_a_loudspeaker_from_it(name):
    of = SETS[name]
    gains = pan(of, *fibonacci_sphere(500))
    np.testing.assert_allclose((gains**2).sum(axis=1), 1.0, atol=1e-12)
    assert gains.min() >= 0
    np.testing.assert_allclose(pan(of, *of.directions_rad()), np.eye(len(of.labels)), atol=1e-6)


def test_vector_base_panning_keeps_the_direction_between_the_loudspeakers_of_a_cube():
    """The middle of the edge between two upper corners is 45 degrees high."""
    gains = pan(SETS["cube"], np.zeros(1), np.radians([45.0]))
    np.testing.assert_allclose(gains[0, [0, 3]], [np.sqrt(0.5)] * 2, atol=1e-6)


def test_a_regular_set_is_panned_between_its_loudspeakers_alone():
    """In the middle of a face of the octahedron its three corners play alike, and on an edge two of them."""
    third = pan(SETS["octahedron"], np.array([np.pi / 4]), np.arcsin(np.array([3**-0.5])))
    np.testing.assert_allclose(np.sort(third[0]), [0, 0, 0, *[3**-0.5] * 3], atol=1e-9)
    half = pan(SETS["octahedron"], np.zeros(1), np.radians([45.0]))
    np.testing.assert_allclose(np.sort(half[0]), [0, 0, 0, 0, *[2**-0.5] * 2], atol=1e-9)


def test_behind_a_frontal_set_all_loudspeakers_play_alike():
    gains = pan(SETS["front"], np.array([np.pi]), np.zeros(1))
    np.testing.assert_allclose(gains, np.sqrt([[1 / 3] * 3]), atol=1e-9)
