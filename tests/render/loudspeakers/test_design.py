"""Decoding matrices against those of the ADM renderer, and the properties each method promises."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from render.common.errors import InputError
from render.hoa.layout import Layout, Loudspeaker, layout, layout_names
from render.hoa.spherical_harmonics import (
    fibonacci_sphere,
    gauss_legendre_sphere,
    mirror_signs,
    sn3d_to_n3d,
    spherical_harmonics,
    unit_vectors,
    yaw_matrix,
)
from render.loudspeakers.design import decoding_matrix

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")
LAYOUTS = list(layout_names().values())
ADM_RENDERER = json.loads((Path(__file__).parents[2] / "golden/adm_renderer.json").read_text())
GOLDEN, MEASURED = ADM_RENDERER["decoder_entries"], ADM_RENDERER["measured_positions"]


def directions(of):
    azimuth = np.radians([s.azimuth_deg for s in of.loudspeakers])
    return azimuth, np.radians([s.elevation_deg for s in of.loudspeakers])


def heard(of):
    return np.array([not s.is_lfe for s in of.loudspeakers])


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_third_order_to_7_1_4_is_the_matrix_of_the_adm_renderer_and_iamf():
    reference = np.load(Path(REFERENCE) / "render/toa_sn3d_to_4+7+0_ear.npy")  # noqa: TID251
    np.testing.assert_allclose(decoding_matrix(layout("7.1.4"), 3), reference, rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", [1, 3, 4])
@pytest.mark.parametrize("name", LAYOUTS)
def test_entries_of_the_adm_renderer(name, order):
    matrix = decoding_matrix(layout(name), order)[heard(layout(name))]
    found = [*matrix[0, [0, 1, -1]], *matrix[-1, [0, 2, -2]]]
    np.testing.assert_allclose(found, GOLDEN[name][str(order)], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("order", "expected"), [(3, -0.04431289), (4, -0.04347878)])
def test_the_entry_of_9_1_4_that_is_farthest_from_iamfs(order, expected):
    """Of iamf-tools' tables for orders 0 to 4 and all layouts this entry (M+000, ACN 13) differs most."""
    assert decoding_matrix(layout("9.1.4"), order)[2, 13] == pytest.approx(expected, abs=1.2e-4)


def test_first_order_n3d_to_5_1_4_published_by_the_adm_renderer():
    """Rows of ear/core/test/test_hoa.py, N3D input."""
    matrix = decoding_matrix(layout("4+5+0"), 1) / sn3d_to_n3d(1)
    np.testing.assert_allclose(matrix[0], [0.171634590, 0.142431019, -0.117545274, 0.130305331], rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        matrix[4], [0.368460920, 0.213546281, -0.168472356, -0.238326574], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("name", LAYOUTS)
def test_mean_power_is_one_lfe_is_silent_and_left_mirrors_right_exactly(name, order):
    of = layout(name)
    matrix = decoding_matrix(of, order)
    azimuth, elevation, weights = gauss_legendre_sphere(order + 1)
    power = np.square(spherical_harmonics(order, azimuth, elevation) @ matrix.T).sum(axis=1)
    assert weights @ power == pytest.approx(1.0, abs=1e-12)
    assert not matrix[~heard(of)].any()
    index = {(s.azimuth_deg % 360, s.elevation_deg, s.is_lfe): i for i, s in enumerate(of.loudspeakers)}
    for i, speaker in enumerate(of.loudspeakers):
        j = index.get((-speaker.azimuth_deg % 360, speaker.elevation_deg, speaker.is_lfe), i)
        np.testing.assert_array_equal(matrix[i], matrix[j] * mirror_signs(order))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("0+5+0", "adm"),
        ("4+5+0", "adm"),
        ("0+7+0", "adm"),
        ("4+7+0", "adm"),
        pytest.param("4+7+0", "allrad", marks=pytest.mark.slow),
    ],
)
def test_a_plane_wave_at_a_loudspeaker_is_loudest_there(name, method):
    of = layout(name)
    feed = spherical_harmonics(3, *directions(of)) @ decoding_matrix(of, 3, method).T
    loudest = np.argmax(np.abs(feed), axis=1)
    np.testing.assert_array_equal(loudest[heard(of)], np.flatnonzero(heard(of)))


def test_a_turned_sound_field_is_heard_from_the_turned_direction():
    matrix = decoding_matrix(layout("4+7+0"), 3)
    azimuth, elevation = fibonacci_sphere(64)
    turned = matrix @ yaw_matrix(3, np.radians(35.0)) @ spherical_harmonics(3, azimuth, elevation).T
    moved = matrix @ spherical_harmonics(3, azimuth + np.radians(35.0), elevation).T
    np.testing.assert_allclose(turned, moved, atol=1e-12)


def quality(of, method):
    """Lowest and highest energy in dB, mean |rE| and mean direction error in degrees above -10 degrees."""
    azimuth, elevation = fibonacci_sphere(20_000)
    served = elevation > np.radians(-10)
    azimuth, elevation = azimuth[served], elevation[served]
    power = np.square(spherical_harmonics(3, azimuth, elevation) @ decoding_matrix(of, 3, method).T)
    energy = power.sum(axis=1)
    vector = power @ unit_vectors(*directions(of)) / energy[:, None]
    length = np.linalg.norm(vector, axis=1)
    error = np.degrees(np.arccos((vector * unit_vectors(azimuth, elevation)).sum(axis=1) / length))
    return 10 * np.log10(energy.min()), 10 * np.log10(energy.max()), length.mean(), error.mean()


def test_energy_and_direction_of_the_7_1_4_decoder_are_those_measured_with_the_adm_renderer():
    """Figures of the reference matrix over 20,000 directions: -1.95 to +1.12 dB, |rE| 0.843, 9.95 degrees."""
    lowest_db, highest_db, length, error_deg = quality(layout("4+7+0"), "adm")
    assert (lowest_db, highest_db) == (pytest.approx(-1.95, abs=0.01), pytest.approx(1.12, abs=0.01))
    assert length == pytest.approx(0.843, abs=0.001)
    assert error_deg == pytest.approx(9.95, abs=0.01)


@pytest.mark.slow
def test_allrad_is_that_of_spaudiopy_but_for_its_asymmetry_and_level():
    """5.1 with imaginary loudspeakers above and below has no rectangle to cut askew."""
    import warnings

    of = layout("5.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spaudiopy

        azimuth, elevation = directions(of)
        real = unit_vectors(azimuth, elevation)[heard(of)]
        hull = spaudiopy.decoder.LoudspeakerSetup(*np.vstack([real, [[0, 0, -1], [0, 0, 1]]]).T)
        hull.ambisonics_setup(update_hull=False, characteristic_order=2)
        expected = spaudiopy.decoder.allrad(np.eye(9), hull, N_sph=2)[:5]
    # spaudiopy's harmonics are orthonormal
    expected = expected * sn3d_to_n3d(2)
    found = decoding_matrix(of, 2, "allrad")[heard(of)]
    np.testing.assert_allclose(
        found / np.linalg.norm(found), expected / np.linalg.norm(expected), rtol=0, atol=2e-3
    )


@pytest.mark.slow
def test_allrad_is_left_right_symmetric_on_7_1_4_where_spaudiopy_is_not():
    of = layout("4+7+0")
    matrix = decoding_matrix(of, 3, "allrad")
    mirrored = [of.labels.index(label.translate(str.maketrans("+-", "-+")).replace("M-000", "M+000"))
                if label not in ("LFE1", "M+000") else i for i, label in enumerate(of.labels)]  # fmt: skip
    np.testing.assert_array_equal(matrix, matrix[mirrored] * mirror_signs(3))


def test_what_no_decoder_can_do_is_refused():
    with pytest.raises(InputError, match="none behind; use adm"):
        decoding_matrix(layout("stereo"), 3, "allrad")
    with pytest.raises(InputError, match="'vbap' is unknown; known are adm, maxre, allrad"):
        decoding_matrix(layout("5.1"), 3, "vbap")
    with pytest.raises(InputError, match="order 8; possible are 0 to 7"):
        decoding_matrix(layout("5.1"), 8)


def test_a_caller_may_change_its_matrix():
    decoding_matrix(layout("5.1"), 1)[:] = 0
    assert decoding_matrix(layout("5.1"), 1).any()


def test_loudspeakers_out_of_symmetry_are_decoded_without_symmetry():
    moved = Layout("0+5+0", (Loudspeaker("M+030", 35.0, 0.0), *layout("0+5+0").loudspeakers[1:]))
    matrix = decoding_matrix(moved, 3)
    assert not np.allclose(matrix[0], matrix[1] * mirror_signs(3), atol=1e-3)
    azimuth, elevation = np.radians([35.0]), np.zeros(1)
    assert np.argmax(matrix @ spherical_harmonics(3, azimuth, elevation)[0]) == 0


def test_max_re_widens_7_1_4_and_straightens_it():
    """Figures measured with the reference matrix times max-rE: -1.92 to +1.26 dB, |rE| 0.797, 6.77 degrees."""
    lowest_db, highest_db, length, error_deg = quality(layout("4+7+0"), "maxre")
    assert (lowest_db, highest_db) == (pytest.approx(-1.92, abs=0.02), pytest.approx(1.26, abs=0.02))
    assert length == pytest.approx(0.797, abs=0.001)
    assert error_deg == pytest.approx(6.77, abs=0.03)


@pytest.mark.parametrize(("name", "order"), [("4+5+0", 1), ("4+7+0", 1), ("9+10+3", 2), ("9+10+3", 3)])
def test_epad_gives_every_direction_the_same_energy(name, order):
    feed = spherical_harmonics(order, *fibonacci_sphere(500)) @ decoding_matrix(layout(name), order, "epad").T
    np.testing.assert_allclose(np.square(feed).sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.parametrize(("name", "order"), [("4+5+0", 1), ("4+7+0", 1), ("9+10+3", 2)])
def test_mode_matching_encodes_again_to_the_scene_it_decoded(name, order):
    of = layout(name)
    encoder = (spherical_harmonics(order, *directions(of)) * heard(of)[:, None]).T
    product = encoder @ decoding_matrix(of, order, "mode-matching")
    np.testing.assert_allclose(product / product[0, 0], np.eye(len(product)), atol=1e-9)


def test_sampling_points_microphones_at_the_loudspeakers():
    """Unsöld: in SN3D each order's pattern towards its own direction is 1, so D·y sums 2n+1 over the orders."""
    of = layout("4+7+0")
    towards = np.einsum("la,la->l", decoding_matrix(of, 3, "sampling"), spherical_harmonics(3, *directions(of)))
    np.testing.assert_allclose(towards[heard(of)] / towards[0], 1.0, atol=1e-12)


@pytest.mark.parametrize("method", ["epad", "mode-matching"])
def test_too_few_or_dependent_directions_are_refused_with_their_number(method):
    with pytest.raises(InputError, match=r"of order 3 needs 16 independent directions, .* 4\+7\+0 have 11"):
        decoding_matrix(layout("4+7+0"), 3, method)
    # Loudspeakers in one plane know nothing of height, however many they are
    with pytest.raises(InputError, match=r"of order 1 needs 4 independent directions, .* 0\+7\+0 have 3"):
        decoding_matrix(layout("0+7+0"), 1, method)


def test_measured_positions_are_decoded_like_the_adm_renderer():
    golden = MEASURED["7.1.4"]
    moved = Layout(
        "4+7+0",
        tuple(
            Loudspeaker(s.label, *golden["positions_deg"].get(s.label, (s.azimuth_deg, s.elevation_deg)), s.is_lfe)
            for s in layout("7.1.4").loudspeakers
        ),
    )
    matrix = decoding_matrix(moved, 3)[heard(moved)]
    for row, column, expected in golden["entries"]:
        assert matrix[row, column] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("method", ["sampling", "mode-matching", "epad"])
def test_turning_the_layout_is_turning_the_scene_back(method):
    """Where the standard does not fix the positions: a room turned by 25 degrees plays a turned scene alike."""
    turn_deg = 25.0
    turned = Layout(
        "4+5+0",
        tuple(
            Loudspeaker(s.label, s.azimuth_deg + turn_deg, s.elevation_deg, s.is_lfe)
            for s in layout("4+5+0").loudspeakers
        ),
    )
    here, there = decoding_matrix(layout("4+5+0"), 1, method), decoding_matrix(turned, 1, method)
    np.testing.assert_allclose(there @ yaw_matrix(1, np.radians(turn_deg)), here, atol=1e-9)
