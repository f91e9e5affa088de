"""Rendering by names is rendering by objects; anchors and files of the facade are those of the packages."""

import numpy as np
import pytest

import hoa
from listening.conditions.anchors import low_pass
from render.headphones import renderer as headphones
from render.headphones.renderer import HeadphoneRendering
from render.hoa.layout import layout
from render.hoa.spherical_harmonics import spherical_harmonics
from render.loudspeakers.renderer import decode

SCENE = hoa.Scene.from_array(0.1 * np.random.default_rng(0).standard_normal((16, 4000)), 48_000)


@pytest.mark.parametrize("decoder", ["adm", "allrad"])
def test_loudspeakers(decoder):
    feed = hoa.render(SCENE, "7.1.4", decoder)
    np.testing.assert_array_equal(feed.samples, decode(SCENE, layout("4+7+0"), decoder).samples)
    with pytest.raises(hoa.InputError, match=r"7\.1\.5"):
        hoa.render(SCENE, "7.1.5")


def test_a_plane_wave_from_a_loudspeaker_is_loudest_there():
    for index, speaker in enumerate(layout("7.1.4").loudspeakers):
        if speaker.is_lfe:
            continue
        direction = np.radians([speaker.azimuth_deg]), np.radians([speaker.elevation_deg])
        gains = spherical_harmonics(3, *direction).reshape(16, 1)
        feed = hoa.render(hoa.Scene.from_array(gains * np.ones((1, 10)), 48_000), "7.1.4")
        assert np.abs(feed.samples[:, 0]).argmax() == index


def test_headphones():
    heard = hoa.binaural(SCENE, yaw_deg=40, via="5.1")
    expected = headphones.binaural(SCENE, HeadphoneRendering(yaw_deg=40, via=layout("5.1")))
    np.testing.assert_array_equal(heard, expected)
    np.testing.assert_array_equal(hoa.binaural(SCENE), headphones.binaural(SCENE))
    with pytest.raises(hoa.InputError, match="none"):
        hoa.binaural(SCENE, sofa="none.sofa")


def test_anchors_and_files(tmp_path):
    np.testing.assert_array_equal(hoa.low_anchor(SCENE).samples, low_pass(SCENE, 3500).samples)
    np.testing.assert_array_equal(hoa.mid_anchor(SCENE).samples, low_pass(SCENE, 7000).samples)
    hoa.write_scene(tmp_path / "x.wav", SCENE)
    np.testing.assert_array_equal(hoa.read_scene(tmp_path / "x.wav").samples, SCENE.samples)


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hoa' has no attribute 'rendr'"):
        _ = hoa.rendr
