import json
import os
from pathlib import Path

import pytest

from render.common.errors import InputError
from render.hoa.layout import file_order, layout, layout_names, measured_layout

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_the_ten_layouts_have_the_channels_and_positions_of_the_reference_renderer():
    reference = json.loads((Path(REFERENCE) / "render/bs2051_layouts.json").read_text())
    assert set(layout_names().values()) == set(reference)
    for name, expected in reference.items():
        speakers = layout(name).loudspeakers
        assert [s.label for s in speakers] == expected["channels"]
        assert [s.azimuth_deg for s in speakers] == expected["az"]
        assert [s.elevation_deg for s in speakers] == expected["el"]
        assert [s.is_lfe for s in speakers] == expected["is_lfe"]


@pytest.mark.parametrize("name", layout_names().values())
def test_the_name_counts_the_loudspeakers_of_each_layer(name):
    upper, middle, bottom = (int(count) for count in name.split("+"))
    full_range = [s for s in layout(name).loudspeakers if not s.is_lfe]
    assert sum(s.elevation_deg > 0 for s in full_range) == upper
    assert sum(s.elevation_deg == 0 for s in full_range) == middle
    assert sum(s.elevation_deg < 0 for s in full_range) == bottom


def test_7_1_4_in_both_orders():
    feed = layout("7.1.4")
    assert feed == layout("4+7+0")
    assert file_order(feed, "bs2051") == (tuple(range(12)), 0)
    permutation, mask = file_order(feed, "wav")
    assert permutation == (0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11)
    assert mask == 0x2D63F


# Masks of ffmpeg 7.1 (libavutil/channel_layout.h): stereo, 5.1(back), 5.1.2(back), 5.1.4, 7.1, 9.1.4
@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("stereo", 0x3),
        ("5.1", 0x3F),
        ("5.1.2", 0x503F),
        ("5.1.4", 0x2D03F),
        ("7.1", 0x63F),
        ("9.1.4", 0x2D6FF),
    ],
)
def test_wav_order_is_a_permutation_with_one_bit_per_channel_in_ascending_order(name, mask):
    permutation, found = file_order(layout(name), "wav")
    assert found == mask
    assert sorted(permutation) == list(range(len(permutation)))
    assert found.bit_count() == len(permutation)


def test_where_both_orders_agree_the_mask_is_written_in_either():
    assert file_order(layout("5.1.4"), "bs2051") == file_order(layout("5.1.4"), "wav")


@pytest.mark.parametrize("name", ["22.2", "10.1", "10.2"])
def test_layouts_that_wav_cannot_describe_are_refused_in_wav_order_only(name):
    with pytest.raises(InputError, match="no channel position for"):
        file_order(layout(name), "wav")
    assert file_order(layout(name), "bs2051")[1] == 0


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"'7\.4\.1' is unknown; known are .*7\.1\.4 \(4\+7\+0\)"):
        layout("7.4.1")
    with pytest.raises(InputError, match="known are bs2051, wav"):
        file_order(layout("5.1"), "dolby")


def toml(tmp_path, text):
    (tmp_path / "lab.toml").write_text(text)
    return tmp_path / "lab.toml"


def test_measured_positions_replace_the_nominal_ones(tmp_path):
    path = toml(
        tmp_path,
        """
        layout = "7.1.4"
        [loudspeakers]
        "M+030" = { azimuth = 33.5 }
        "U-135" = { azimuth = 230, elevation = 45 }
    """,
    )
    measured = layout(str(path))
    by_label = {s.label: (s.azimuth_deg, s.elevation_deg) for s in measured.loudspeakers}
    assert measured.name == "4+7+0"
    assert by_label["M+030"] == (33.5, 0.0)
    assert by_label["U-135"] == (-130.0, 45.0)
    assert by_label["U+135"] == (135.0, 30.0)
    assert measured.labels == layout("7.1.4").labels


@pytest.mark.parametrize("azimuth", [180, -180, 540 - 360])
def test_straight_behind_has_two_names(tmp_path, azimuth):
    path = toml(tmp_path, f'layout = "22.2"\n[loudspeakers]\n"M+180" = {{ azimuth = {azimuth}, elevation = 10 }}')
    rear = next(s for s in measured_layout(path).loudspeakers if s.label == "M+180")
    assert (abs(rear.azimuth_deg), rear.elevation_deg) == (180.0, 10.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layout = "7.1.4"\n[loudspeakers]\n"M+030" = { azimuth = 50 }',
         r"M\+030: azimuth 50 degrees \(outwards from the front\); BS\.2051 allows 30 to 45"),
        ('layout = "7.1.4"\n[loudspeakers]\n"M-030" = { azimuth = 30 }', r"M-030: azimuth -30 degrees"),
        ('layout = "7.1.4"\n[loudspeakers]\n"U+045" = { elevation = 60 }', "elevation 60 .* allows 30 to 55"),
        ('layout = "7.1.4"\n[loudspeakers]\n"U+045" = { elevation = nan }', "elevation nan is not an angle"),
        ('layout = "7.1.4"\n[loudspeakers]\n"U+045" = { elevation = "up" }', "elevation 'up' is not an angle"),
        ('layout = "7.1.4"\n[loudspeakers]\n"U+045" = { height = 2 }', "needs { azimuth = degrees"),
        ('layout = "7.1.4"\n[loudspeakers]\n"U+030" = { azimuth = 30 }', r"labels of 4\+7\+0 .* not 'U\+030'"),
        ('layout = "7.1.4"\nloudspeakers = 7', r"\[loudspeakers\] needs labels"),
        ('layout = "7.1.4"\nspeakers = 7', "unknown key 'speakers'; known are layout, loudspeakers"),
        ('layout = "lab.toml"', "layout 'lab' is unknown"),
        ("", "layout '' is unknown"),
        ("layout = ", "not TOML"),
    ],
)  # fmt: skip
def test_positions_that_cannot_be_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"lab\.toml: .*{message}"):
        measured_layout(toml(tmp_path, text))


def test_a_missing_file_of_positions_is_named(tmp_path):
    with pytest.raises(InputError, match=r"lab\.toml: no such file"):
        layout(str(tmp_path / "lab.toml"))
