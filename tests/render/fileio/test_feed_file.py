"""The channel order of loudspeaker signals in files."""

import json
import struct

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.adm_bw64 import export_adm
from render.fileio.audio_file import read, write_feed, writer
from render.fileio.feed_file import feed_blocks, feed_info
from render.hoa.layout import layout
from render.hoa.scene import Feed


def feed(name="7.1.4", length=200):
    of = layout(name)
    samples = np.repeat(np.arange(1, len(of.labels) + 1, dtype=np.float32)[:, None] / 32, length, axis=1)
    return Feed(samples, 48000, of)


def samples_of(path, of, order=None):
    return np.concatenate(list(feed_blocks(feed_info(path, of, order))), axis=1)


@pytest.mark.parametrize("name", ["stereo", "5.1", "7.1", "5.1.4", "7.1.4"])
@pytest.mark.parametrize("suffix", [".wav", ".caf"])
@pytest.mark.parametrize("order", ["bs2051", "wav"])
def test_our_own_files_are_read_in_the_order_that_they_were_written_in(tmp_path, name, suffix, order):
    of = feed(name)
    write_feed(tmp_path / f"x{suffix}", of, "PCM_24", order)
    np.testing.assert_array_equal(samples_of(tmp_path / f"x{suffix}", of.layout), of.samples)


def test_the_adm_file_of_a_feed_in_wav_order_has_its_sides_at_the_sides(tmp_path):
    of = feed()
    write_feed(tmp_path / "x.wav", of, "PCM_24", "wav")
    export_adm(tmp_path / "x.wav", tmp_path / "adm.wav", of.layout)
    np.testing.assert_array_equal(read(tmp_path / "adm.wav")[0], of.samples)


def test_surrounds_of_5_1_may_stand_at_the_back_or_at_the_side(tmp_path):
    for mask in (0x3F, 0x60F):
        with writer(tmp_path / f"{mask}.wav", 6, 48000, channel_mask=mask) as file:
            file.write(feed("5.1").samples)
        np.testing.assert_array_equal(samples_of(tmp_path / f"{mask}.wav", layout("5.1")), feed("5.1").samples)


@pytest.mark.parametrize(
    ("tag", "name", "order"),
    [
        (122 << 16 | 6, "5.1", (0, 1, 4, 5, 2, 3)),  # MPEG_5_1_B: L R Ls Rs C LFE
        (123 << 16 | 6, "5.1", (0, 2, 1, 4, 5, 3)),  # MPEG_5_1_C: L C R Ls Rs LFE
        (192 << 16 | 12, "7.1.4", tuple(range(12))),  # Atmos_7_1_4: sides before rears
        (189 << 16 | 8, "7.1", (0, 1, 2, 3, 6, 7, 4, 5)),  # WAVE_7_1: rears before sides
    ],
)
def test_layout_tags_of_caf_give_the_order(tmp_path, tag, name, order):
    path, of = tmp_path / "x.caf", feed(name)
    with writer(path, len(order), 48000) as file:
        file.write(of.samples[list(order)])
    raw = path.read_bytes()
    at = raw.index(b"data")
    path.write_bytes(raw[:at] + b"chan" + struct.pack(">qIII", 12, tag, 0, 0) + raw[at:])
    np.testing.assert_array_equal(samples_of(path, of.layout), of.samples)


def test_the_record_beside_a_file_without_a_mask_gives_the_order(tmp_path):
    of = feed()
    permutation = [0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11]
    with writer(tmp_path / "x.w64", 12, 48000) as file:
        file.write(of.samples[permutation])
    labels = [{"label": of.layout.labels[index]} for index in permutation]
    (tmp_path / "x.w64.json").write_text(json.dumps({"channels": labels}))
    np.testing.assert_array_equal(samples_of(tmp_path / "x.w64", of.layout), of.samples)


def test_other_loudspeakers_than_the_layout_s_are_refused_unless_the_user_says_the_order(tmp_path):
    of = feed()
    for mask in (0x3F, 0x2D63F ^ 0x3, 0x2D63F | 0x40):
        with writer(tmp_path / "x.wav", 12, 48000, force=True, channel_mask=mask) as file:
            file.write(of.samples)
        with pytest.raises(
            InputError, match=rf"channel mask {mask:#x} names other loudspeakers than layout 4\+7\+0"
        ):
            feed_info(tmp_path / "x.wav", of.layout)
        assert feed_info(tmp_path / "x.wav", of.layout, "bs2051").contradiction == f"channel mask {mask:#x}"
    with pytest.raises(InputError, match=r"12 channels, but layout 0\+5\+0 has 6"):
        feed_info(tmp_path / "x.wav", layout("5.1"))


def test_an_adm_file_gives_the_loudspeaker_of_each_track(tmp_path):
    of = feed("5.1")
    write_feed(tmp_path / "x.wav", of)
    export_adm(tmp_path / "x.wav", tmp_path / "own.wav", of.layout)
    np.testing.assert_array_equal(samples_of(tmp_path / "own.wav", of.layout), of.samples)
    # Common definitions of BS.2094: L R C LFE Ls Rs are AC_00010001 to 6, here as film has them: L C R Ls Rs LFE
    rows = [(track, f"AT_0001000{number}_01") for track, number in enumerate((1, 3, 2, 5, 6, 4), 1)]
    chna = struct.pack("<HH", 6, 6)
    chna += b"".join(struct.pack("<H12s14s11sx", t, b"", form.encode(), b"AP_00010003") for t, form in rows)
    chunk = b"chna" + struct.pack("<I", len(chna)) + chna
    with writer(tmp_path / "film.wav", 6, 48000, chunks=chunk) as file:
        file.write(of.samples[[0, 2, 1, 4, 5, 3]])
    np.testing.assert_array_equal(samples_of(tmp_path / "film.wav", of.layout), of.samples)
    with writer(tmp_path / "none.wav", 6, 48000, chunks=chunk.replace(b"AT_00010004", b"AT_00011004")) as file:
        file.write(of.samples)
    with pytest.raises(InputError, match="its ADM description names other loudspeakers"):
        feed_info(tmp_path / "none.wav", of.layout)
