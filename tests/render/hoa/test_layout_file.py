"""Sets of loudspeakers from TOML and from the JSON of decoder plug-ins."""

import json

import pytest

from render.common.errors import InputError
from render.hoa.layout import layout, measured_layout
from render.hoa.layout_file import read_layout_file

ROOM = """
name = "studio"
[loudspeakers]
"left" = { azimuth = 30, elevation = 2.5, distance = 2.1 }
"right" = { azimuth = 325 }
"sub" = { lfe = true, gain_db = -3 }
"top" = { azimuth = 0, elevation = 90 }
"""


def speaker(azimuth, elevation, channel, **more):
    """An element as IEM AllRADecoder and SPARTA AmbiDEC write it."""
    return {"Azimuth": azimuth, "Elevation": elevation, "Radius": 1.0, "IsImaginary": False, "Channel": channel,
            "Gain": 1.0, **more}  # fmt: skip


def written(tmp_path, content, name="room.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_set_of_ones_own_has_the_channels_of_its_file(tmp_path):
    studio = layout(str(written(tmp_path, ROOM, "studio.toml")))
    assert studio.name == "studio"
    assert studio.labels == ("left", "right", "sub", "top")
    positions = [(s.azimuth_deg, s.elevation_deg) for s in studio.loudspeakers if not s.is_lfe]
    assert positions == [(30.0, 2.5), (-35.0, 0.0), (0.0, 90.0)]
    assert studio.full_range == [0, 1, 3]


def test_a_layout_of_allradecoder_is_read_by_channel_without_imaginary_loudspeakers(tmp_path):
    elements = [speaker(-45.0, 0.0, 2), speaker(45.0, 0.0, 1), speaker(180.0, 30.0, 4),
                speaker(0.0, -90.0, 5, IsImaginary=True, Gain=0.0)]  # fmt: skip
    content = {"Name": "A", "Description": "", "LoudspeakerLayout": {"Name": "three", "Loudspeakers": elements}}
    found = layout(str(written(tmp_path, content)))
    assert found.name == "three"
    assert [(s.label, s.azimuth_deg, s.is_lfe) for s in found.loudspeakers if s.label != "LFE3"] == [
        ("1", 45.0, False), ("2", -45.0, False), ("4", -180.0, False),
    ]  # fmt: skip
    assert found.loudspeakers[2].is_lfe  # the channel that no loudspeaker has


def test_a_generic_layout_of_sparta_and_a_subwoofer_behind_all_channels_are_read(tmp_path):
    content = {
        "GenericLayout": {"Name": "Source Directions", "Elements": [speaker(10, 0, 1), speaker(-10, 0, 2)]},
        "Decoder": {"SubwooferChannel": 3},
    }
    found = layout(str(written(tmp_path, content)))
    assert [(s.label, s.is_lfe) for s in found.loudspeakers] == [("1", False), ("2", False), ("LFE3", True)]
    assert read_layout_file(tmp_path / "room.json").loudspeakers["1"]["distance"] == 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", r"no LoudspeakerLayout\.Loudspeakers"),
        ({"LoudspeakerLayout": {"Loudspeakers": 3}}, r"no LoudspeakerLayout\.Loudspeakers"),
        ({"LoudspeakerLayout": {"Loudspeakers": []}}, "no loudspeakers"),
        ({"LoudspeakerLayout": {"Loudspeakers": [7]}}, "7 needs Azimuth, Elevation and Channel"),
        ({"LoudspeakerLayout": {"Loudspeakers": [speaker(0, 0, 0)]}}, "channel 0; possible are 1 to 256"),
        ({"LoudspeakerLayout": {"Loudspeakers": [speaker(0, 0, 10**9)]}}, "channel 1000000000; possible"),
        ({"LoudspeakerLayout": {"Loudspeakers": [speaker(0, 0, True)]}}, "channel True"),
        ({"LoudspeakerLayout": {"Loudspeakers": [speaker(0, 0, 1), speaker(9, 0, 1)]}}, "two .* have channel 1"),
        ({"LoudspeakerLayout": {"Loudspeakers": [speaker("x", 0, 1)]}}, "azimuth 'x' is not an angle"),
        ({"LoudspeakerLayout": {"Loudspeakers": [speaker(0, 91, 1)]}}, "elevation 91 degrees"),
        (
            {"LoudspeakerLayout": {"Name": "4+7+0", "Loudspeakers": [speaker(0, 0, 1)]}},
            "name that no standard has",
        ),
        (
            {"LoudspeakerLayout": {"Loudspeakers": [speaker(0, 0, 1, Label="A"), speaker(9, 0, 2, Label="A")]}},
            "two loudspeakers are called 'A'",
        ),
        (
            {"LoudspeakerLayout": {"Loudspeakers": [speaker(180, 0, 1), speaker(-180, 0, 2)]}},
            "1 and 2 stand in the same direction",
        ),
    ],
)
def test_json_that_is_no_layout_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(InputError, match=rf"room\.json: .*{message}"):
        measured_layout(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('name = "x"', "no loudspeakers"),
        ('name = ""\n[loudspeakers]\na = { azimuth = 0 }', "needs a name"),
        ('name = "x"\n[loudspeakers]\na = { elevation = 3 }', "a: needs an azimuth, or lfe = true"),
        ('name = "x"\n[loudspeakers]\na = { lfe = 1 }', "a: needs an azimuth, or lfe = true"),
        ('name = "x"\n[loudspeakers]\na = { lfe = true }', "no loudspeakers with a direction"),
        ('name = "x"\n[loudspeakers]\n"a,b" = { azimuth = 0 }', "a label has no comma"),
        ('name = "x"\n[loudspeakers]\na = { azimuth = 0, height = 2 }', "got {'azimuth': 0, 'height': 2}"),
        ('name = "x"\nlayout = "7.1.4"\n[loudspeakers]\n"a" = { azimuth = 0 }', r"labels of 4\+7\+0"),
    ],
)
def test_toml_that_is_no_set_of_loudspeakers_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(InputError, match=rf"room\.toml: .*{message}"):
        measured_layout(written(tmp_path, content, "room.toml"))
