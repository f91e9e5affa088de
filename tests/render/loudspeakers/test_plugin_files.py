"""Layouts and matrices in the JSON of the IEM plug-in suite: out, in again, and what other programs write."""

import json
from pathlib import Path

import numpy as np
import pytest

from render.common.errors import InputError
from render.hoa.layout import layout, measured_layout
from render.loudspeakers.calibration import read_distances, read_trims
from render.loudspeakers.design import decoding_matrix
from render.loudspeakers.plugin_files import read_decoder, write_layout, write_plugin_file

ROOM = """
name = "studio"
[loudspeakers]
"left" = { azimuth = 30.25, elevation = 2.5, distance = 2.0 }
"right" = { azimuth = -35, distance = 4.0 }
"sub1" = { lfe = true, distance = 3.0 }
"back" = { azimuth = 170, distance = 2.5 }
"top" = { azimuth = 10, elevation = 80, distance = 2.5 }
"sub2" = { lfe = true }
"""


@pytest.fixture
def room(tmp_path):
    path = tmp_path / "room.toml"
    path.write_text(ROOM)
    return path


def test_a_room_comes_back_from_json_and_from_toml_as_it_was(room, tmp_path):
    of, distances = measured_layout(room), read_distances(room)
    matrix = decoding_matrix(of, 1)
    write_plugin_file(tmp_path / "room.json", of, distances, matrix)
    write_layout(tmp_path / "again.toml", measured_layout(tmp_path / "room.json"), distances)
    for again in (tmp_path / "room.json", tmp_path / "again.toml"):
        assert measured_layout(again) == of
        assert read_trims(again) == read_trims(room)
    np.testing.assert_array_equal(read_decoder(tmp_path / "room.json", of, 1), matrix)
    np.testing.assert_array_equal(decoding_matrix(of, 1, str(tmp_path / "room.json")), matrix)


def test_what_is_written_is_what_the_suite_reads(room, tmp_path):
    """Every element has the six keys that its ConfigurationHelper.h requires, with their types."""
    of = measured_layout(room)
    write_plugin_file(tmp_path / "room.json", of, read_distances(room), decoding_matrix(of, 1))
    content = json.loads((tmp_path / "room.json").read_text())
    elements, decoder = content["LoudspeakerLayout"]["Loudspeakers"], content["Decoder"]
    for element in elements:
        assert {type(element[key]) for key in ("Azimuth", "Elevation", "Radius", "Gain")} == {float}
        assert (type(element["Channel"]), type(element["IsImaginary"])) == (int, bool)
    imaginary = [(e["Azimuth"], e["Elevation"]) for e in elements if e["IsImaginary"]]
    assert imaginary == [(0.0, -90.0)]  # "top" is near the zenith
    assert decoder["Routing"] == [1, 2, 4, 5]
    assert decoder["SubwooferChannel"] == 3
    assert np.shape(decoder["Matrix"]) == (4, 4)
    assert (decoder["ExpectedInputNormalization"], decoder["Weights"]) == ("sn3d", "none")


def test_a_standard_layout_is_written_as_positions_and_decoded_alike(tmp_path):
    of = layout("7.1.4")
    write_plugin_file(tmp_path / "714.json", of, {})
    again = measured_layout(tmp_path / "714.json")
    assert (again.labels, again.loudspeakers) == (of.labels, of.loudspeakers)
    np.testing.assert_array_equal(decoding_matrix(again, 3), decoding_matrix(of, 3))
    write_layout(tmp_path / "714.toml", of, {})
    assert measured_layout(tmp_path / "714.toml") == of


def decoder_file(tmp_path, **changes):
    """A first-order N3D decoder of two loudspeakers, the rows of which say W + Y and W - Y."""
    decoder = {"Matrix": [[1.0, 1.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.0]], "ExpectedInputNormalization": "n3d",
               "Weights": "none", "WeightsAlreadyApplied": False, "Routing": [2, 1], **changes}  # fmt: skip
    path = tmp_path / "decoder.json"
    path.write_text(json.dumps({"Decoder": decoder}))
    return path


def test_a_matrix_for_n3d_is_scaled_for_sn3d_and_routed(tmp_path):
    found = read_decoder(decoder_file(tmp_path), layout("stereo"), 1)
    np.testing.assert_allclose(found, [[1, -np.sqrt(3), 0, 0], [1, np.sqrt(3), 0, 0]], atol=1e-15)


def test_weights_that_are_not_applied_are_those_of_the_plug_in(tmp_path):
    """The suite's tables for first order: max-rE weight 0.5775, level 1.0611 (resources/MaxRE.h)."""
    found = read_decoder(decoder_file(tmp_path, Weights="maxrE"), layout("stereo"), 1)
    np.testing.assert_allclose(found[1], [1.0611, 1.0611 * 0.5775 * np.sqrt(3), 0, 0], rtol=5e-4)
    path = decoder_file(tmp_path, Weights="inPhase", WeightsAlreadyApplied=True)
    applied = read_decoder(path, layout("stereo"), 1)
    np.testing.assert_array_equal(applied, read_decoder(decoder_file(tmp_path), layout("stereo"), 1))


def test_a_scene_of_lower_order_gets_the_first_columns_and_the_level_of_the_plug_in(tmp_path):
    found = read_decoder(decoder_file(tmp_path), layout("stereo"), 0)
    np.testing.assert_allclose(found, [[2**0.25], [2**0.25]], rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Matrix": [[1, 2], [3]]}, r"Decoder\.Matrix is no matrix"),
        ({"Matrix": [[1, 2, 3], [4, 5, 6]]}, r"Decoder\.Matrix has 3 columns"),
        ({"Matrix": "x"}, r"Decoder\.Matrix is no matrix"),
        ({"Matrix": [[float("nan")] * 4] * 2}, r"Decoder\.Matrix is no matrix"),
        ({"Matrix": [[1.0], [1.0]]}, "a decoder of order 0, the scene has order 1"),
        ({"ExpectedInputNormalization": "fuma"}, "'fuma'; possible are sn3d, n3d"),
        ({"Weights": "heavy"}, "'heavy'; possible are none, maxrE, inPhase"),
        ({"Weights": "inPhase"}, "in-phase weights are not applied yet"),
        ({"Routing": [1, 3]}, r"2 rows for the channels \[1, 3\]; layout 0\+2\+0 has .* \[1, 2\]"),
        ({"Routing": [1, 1]}, "2 rows for the channels"),
        ({"Routing": [1]}, "2 rows for the channels"),
        ({"Routing": {"a": 1}}, "2 rows for the channels"),
    ],
)
def test_a_decoder_that_does_not_fit_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"decoder\.json: .*{message}"):
        read_decoder(decoder_file(tmp_path, **changes), layout("stereo"), 1)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("{}", "has no Decoder"), ("[]", "has no Decoder")]
)
def test_a_file_without_a_decoder_is_refused(tmp_path, text, message):
    path = Path(tmp_path / "decoder.json")
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        decoding_matrix(layout("stereo"), 1, str(path))
