"""Decoding scenes and files: conventions, channel orders, sample rates, LFE, dither, trims and records."""

import json
import tracemalloc

import numpy as np
import pytest

from render.common.errors import InputError
from render.common.files import sha256_of
from render.dsp.block_processing import with_low_passed_w
from render.dsp.convolution import Filters
from render.fileio.audio_file import info, read, write_scene, writer
from render.hoa.layout import layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import sn3d_to_n3d, spherical_harmonics, to_sn3d
from render.loudspeakers.calibration import read_trims
from render.loudspeakers.design import decoding_matrix
from render.loudspeakers.renderer import Decoding, FeedFormat, _digest, decode, decode_file


def scene(order=3, length=5000, level=0.05, seed=0, rate=48000):
    samples = level * np.random.default_rng(seed).standard_normal(((order + 1) ** 2, length))
    return Scene(samples.astype(np.float32), rate)


def test_the_same_scene_in_three_conventions_gives_the_same_feed(tmp_path):
    original = scene()
    for convention in ("sn3d", "n3d", "fuma"):
        other = np.linalg.inv(to_sn3d(3, convention)) @ original.samples
        write_scene(tmp_path / f"{convention}.wav", Scene(other.astype(np.float32), 48000))
        decode_file(
            tmp_path / f"{convention}.wav",
            tmp_path / f"{convention}.feed.wav",
            Decoding(layout("7.1.4"), convention=convention),
            FeedFormat(subtype="FLOAT"),
        )
        feed, _ = read(tmp_path / f"{convention}.feed.wav")
        np.testing.assert_allclose(feed, decode(original, layout("7.1.4")).samples, atol=2e-7)
    assert to_sn3d(2, "n3d")[4, 4] == pytest.approx(1 / sn3d_to_n3d(2)[4])


def test_fuma_above_third_order_is_refused(tmp_path):
    write_scene(tmp_path / "a.wav", scene(order=4))
    with pytest.raises(InputError, match="FuMa is defined up to order 3, but the scene has order 4"):
        decode_file(tmp_path / "a.wav", tmp_path / "b.wav", Decoding(layout("5.1"), convention="fuma"))


def test_a_scene_in_two_files_is_that_of_one(tmp_path):
    whole = scene(length=40_000)
    write_scene(tmp_path / "whole.wav", whole)
    for first, last in ((1, 8), (9, 16)):
        with writer(tmp_path / f"take 1_{first:02d}-{last:02d}ch.wav", 8, 48000, "FLOAT") as file:
            file.write(whole.samples[first - 1 : last])
    record = decode_file(tmp_path / "take 1_09-16ch.wav", tmp_path / "a.wav", Decoding(layout("7.1.4")))
    decode_file(tmp_path / "whole.wav", tmp_path / "b.wav", Decoding(layout("7.1.4")))
    np.testing.assert_array_equal(read(tmp_path / "a.wav")[0], read(tmp_path / "b.wav")[0])
    assert record["input"] == ["take 1_01-08ch.wav", "take 1_09-16ch.wav"]


def test_channels_in_a_listed_order(tmp_path):
    write_scene(tmp_path / "a.wav", scene())
    labels = "M+000,M-030,M+030,LFE1,M-110,M+110"
    record = decode_file(
        tmp_path / "a.wav",
        tmp_path / "b.wav",
        Decoding(layout("5.1")),
        FeedFormat(subtype="FLOAT", channel_order=labels),
    )
    feed = decode(scene(), layout("5.1")).samples
    np.testing.assert_array_equal(read(tmp_path / "b.wav")[0], feed[[2, 1, 0, 3, 5, 4]])
    assert [channel["label"] for channel in record["channels"]] == labels.split(",")
    assert info(tmp_path / "b.wav").channel_mask == 0
    with pytest.raises(InputError, match="needs each label of 0\\+5\\+0 once: M\\+030,M-030"):
        decode_file(
            tmp_path / "a.wav",
            tmp_path / "c.wav",
            Decoding(layout("5.1")),
            FeedFormat(channel_order="M+000,M-030"),
        )


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 48000), (48000, 44100)])
def test_another_rate_keeps_tones_to_18_khz_and_the_length(tmp_path, from_hz, to_hz):
    time_s = np.arange(from_hz) / from_hz
    tone = np.stack([np.cos(2 * np.pi * 18000 * time_s), 0 * time_s, 0 * time_s, 0 * time_s]).astype(np.float32)
    write_scene(tmp_path / "a.wav", Scene(0.5 * tone, from_hz))
    record = decode_file(
        tmp_path / "a.wav",
        tmp_path / "b.wav",
        Decoding(layout("5.1")),
        FeedFormat(subtype="FLOAT", sample_rate_hz=to_hz),
    )
    feed, rate = read(tmp_path / "b.wav")
    assert (rate, feed.shape[1], record["frames"]) == (to_hz, to_hz, to_hz)
    gain = decode(Scene(np.eye(4, 1).astype(np.float32), 48000), layout("5.1")).samples[0, 0]
    expected = 0.5 * gain * np.cos(2 * np.pi * 18000 * np.arange(to_hz) / to_hz)
    middle = slice(4000, -4000)
    found, expected = feed[0, middle].astype(float), expected[middle]
    passed = (found @ expected) / (expected @ expected)
    assert abs(20 * np.log10(passed)) < 0.01
    assert 20 * np.log10(np.std(found / passed - expected) / np.std(expected)) < -110


def test_the_lfe_of_libiamf_is_its_low_pass_of_w(tmp_path):
    """Recursion as in libiamf's h2m_rdr.c, lfefilter_update, sample by sample; 7.1.4 has 11 other loudspeakers."""
    original = scene(length=3000, level=0.3)
    write_scene(tmp_path / "a.wav", original)
    decode_file(
        tmp_path / "a.wav",
        tmp_path / "b.wav",
        Decoding(layout("7.1.4"), lfe="libiamf"),
        FeedFormat(subtype="FLOAT"),
    )
    feed, _ = read(tmp_path / "b.wav")
    c = 1 / np.tan(np.pi * 120 * (1 / 48000))
    a1 = 1 / (1 + c + c * c)
    b1, b2 = 2 * (1 - c * c) * a1, (1 - c + c * c) * a1
    x1 = x2 = y1 = y2 = 0.0
    expected = []
    for x in original.samples[0].astype(float):
        y = a1 * (x + 2 * x1 + x2) - b1 * y1 - b2 * y2
        x1, x2, y1, y2 = x, x1, y, y1
        expected.append(y / np.sqrt(11))
    np.testing.assert_allclose(feed[3], expected, atol=1e-6)
    np.testing.assert_array_equal(
        np.delete(feed, 3, 0), np.delete(decode(original, layout("7.1.4")).samples, 3, 0)
    )
    with pytest.raises(InputError, match="LFE feed 'on' is unknown; known are off, libiamf"):
        decode_file(tmp_path / "a.wav", tmp_path / "c.wav", Decoding(layout("7.1.4"), lfe="on"))


def test_dither_is_repeatable_and_leaves_silence(tmp_path):
    original = scene(length=20_000)
    write_scene(tmp_path / "a.wav", original)
    for name in ("b", "c"):
        decode_file(
            tmp_path / "a.wav",
            tmp_path / f"{name}.wav",
            Decoding(layout("5.1")),
            FeedFormat(subtype="PCM_16", dither=True),
        )
    first = read(tmp_path / "b.wav")[0]
    np.testing.assert_array_equal(first, read(tmp_path / "c.wav")[0])
    assert not first[3].any()
    assert np.abs(first - decode(original, layout("5.1")).samples).max() < 1.6 * 2.0**-15
    with pytest.raises(InputError, match="dither is for PCM_16; PCM_24 needs none"):
        decode_file(tmp_path / "a.wav", tmp_path / "d.wav", Decoding(layout("5.1")), FeedFormat(dither=True))


def lab(tmp_path, text):
    (tmp_path / "lab.toml").write_text('layout = "stereo"\n[loudspeakers]\n' + text)
    return tmp_path / "lab.toml"


def test_a_trimmed_feed_arrives_together(tmp_path):
    """What two loudspeakers at different distances make of a trimmed feed reaches the listener as one."""
    write_scene(tmp_path / "a.wav", scene(order=1, length=2000))
    trim = read_trims(lab(tmp_path, '"M+030" = { distance = 1.715 }\n"M-030" = { distance = 3.43 }'))
    decode_file(
        tmp_path / "a.wav", tmp_path / "b.wav", Decoding(layout("stereo"), trims=trim), FeedFormat(subtype="FLOAT")
    )
    feed, _ = read(tmp_path / "b.wav")
    plain = decode(scene(order=1, length=2000), layout("stereo")).samples
    assert feed.shape[1] == 2000 + 240
    left_at_listener = feed[0, 240:] / 1.715
    np.testing.assert_allclose(left_at_listener, plain[0] / 3.43, rtol=1e-5)
    np.testing.assert_allclose(feed[1, :2000] / 3.43, plain[1] / 3.43, rtol=1e-5)


def test_a_room_of_ones_own_with_two_subwoofers_is_decoded_and_arrives_together(tmp_path):
    """Distances 1.715 m and 3.43 m: 5 ms and 6.02 dB. A subwoofer has low-passed W over the root of 3 others."""
    room = tmp_path / "room.toml"
    room.write_text(
        'name = "room"\n[loudspeakers]\nleft = { azimuth = 60, distance = 1.715 }\n'
        "near = { lfe = true, distance = 1.715 }\nright = { azimuth = -60, distance = 3.43 }\n"
        "back = { azimuth = 180, distance = 3.43 }\nfar = { lfe = true, distance = 3.43, gain_db = -20 }\n"
    )
    source = scene(order=1, length=2000, level=0.3)
    write_scene(tmp_path / "a.wav", source)
    of = layout(str(room))
    decoding = Decoding(of, lfe="libiamf", trims=read_trims(room))
    record = decode_file(tmp_path / "a.wav", tmp_path / "b.wav", decoding, FeedFormat(subtype="FLOAT"))
    assert [channel["label"] for channel in record["channels"]] == ["left", "near", "right", "back", "far"]
    feed, plain = read(tmp_path / "b.wav")[0], decode(source, of).samples
    np.testing.assert_allclose(feed[0, 240:], plain[0] / 2, atol=1e-6)
    np.testing.assert_allclose(feed[[2, 3], :2000], plain[[2, 3]], atol=1e-6)
    np.testing.assert_allclose(feed[1, 240:], 5 * feed[4, :2000], atol=1e-6)  # -6 dB against -20 dB
    low = next(block[-1] for block in with_low_passed_w([source.samples], 48000))
    np.testing.assert_allclose(feed[4, :2000], 0.1 * low / np.sqrt(3), atol=1e-6)


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg", "label"), [
    (30, 0, "M+030"), (-90, 0, "M-090"), (135, 0, "M+135"), (-45, 30, "U-045"), (0, 0, "M+000"),
])  # fmt: skip
def test_a_plane_wave_is_loudest_from_the_loudspeaker_in_its_direction(azimuth_deg, elevation_deg, label):
    wave = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg])).T
    feed = decode(Scene((wave * np.ones(4)).astype(np.float32), 48000), layout("7.1.4"))
    assert feed.layout.labels[int(np.argmax(np.abs(feed.samples[:, 0])))] == label


def test_the_lfe_is_exactly_silent():
    feed = decode(scene(), layout("22.2"))
    assert not feed.samples[[s.is_lfe for s in feed.layout.loudspeakers]].any()


def test_the_file_is_the_exact_product_within_one_step_of_24_bits(tmp_path):
    write_scene(tmp_path / "scene.wav", scene(length=150_000), "PCM_24")
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", Decoding(layout("7.1.4")))
    exact = decoding_matrix(layout("7.1.4"), 3) @ read(tmp_path / "scene.wav")[0].astype(np.float64)
    assert np.abs(read(tmp_path / "feed.wav")[0] - exact).max() <= 2.0**-23


def test_blocks_change_no_bit(tmp_path):
    whole = scene(length=40_000)
    write_scene(tmp_path / "scene.wav", whole)
    decode_file(
        tmp_path / "scene.wav", tmp_path / "feed.wav", Decoding(layout("7.1.4")), FeedFormat(subtype="FLOAT")
    )
    np.testing.assert_array_equal(read(tmp_path / "feed.wav")[0], decode(whole, layout("7.1.4")).samples)


def test_wav_order_exchanges_rear_and_side(tmp_path):
    write_scene(tmp_path / "scene.wav", scene())
    records = [
        decode_file(
            tmp_path / "scene.wav",
            tmp_path / f"{order}.wav",
            Decoding(layout("7.1.4")),
            FeedFormat(channel_order=order),
        )
        for order in ("bs2051", "wav")
    ]
    standard, wav = (read(tmp_path / f"{order}.wav")[0] for order in ("bs2051", "wav"))
    np.testing.assert_array_equal(wav, standard[[0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11]])
    assert info(tmp_path / "wav.wav").channel_mask == 0x2D63F
    labels = " ".join(channel["label"] for channel in records[1]["channels"])
    assert labels == "M+030 M-030 M+000 LFE1 M+135 M-135 M+090 M-090 U+045 U-045 U+135 U-135"
    assert records[0]["matrix_sha256"] == records[1]["matrix_sha256"]


def test_the_record_tells_what_was_done(tmp_path):
    write_scene(tmp_path / "scene.w64", scene(order=1, length=48000, level=0.5))
    record = decode_file(
        tmp_path / "scene.w64", tmp_path / "feed.wav", Decoding(layout("5.1")), FeedFormat(subtype="PCM_16")
    )
    assert record == json.loads((tmp_path / "feed.wav.json").read_text())
    feed = decode(scene(order=1, length=48000, level=0.5), layout("5.1")).samples
    assert record["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(feed).max()), abs=1e-3)
    assert record["clipped_values"] == np.count_nonzero(np.abs(feed) > 1)
    channel, sample = np.unravel_index(np.argmax(np.abs(feed.T) > 1) % feed.size, feed.T.shape)[::-1]
    assert record["first_clipped"] == {
        "channel": layout("5.1").labels[channel],
        "time_s": pytest.approx(sample / 48000),
    }
    assert record["ambisonic_order"] == 1
    assert record["loudness_gated"] is True


def test_repeating_is_accepted_changing_is_not(tmp_path):
    write_scene(tmp_path / "scene.wav", scene())
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", Decoding(layout("7.1.4")))
    before = (tmp_path / "feed.wav").read_bytes()
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", Decoding(layout("7.1.4")))
    with pytest.raises(InputError, match="exists and differs"):
        decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", Decoding(layout("5.1")))
    assert (tmp_path / "feed.wav").read_bytes() == before
    assert json.loads((tmp_path / "feed.wav.json").read_text())["layout"] == "4+7+0"


def test_memory_does_not_depend_on_the_length(tmp_path):
    """Peak of what is allocated while 4 s and 20 s of third order are decoded."""
    block = scene(length=4 * 48000).samples
    decoding_matrix(layout("7.1.4"), 3)
    peak_bytes = []
    for repetitions in (1, 5):
        with writer(tmp_path / f"{repetitions}.w64", 16, 48000, "PCM_16") as file:
            for _ in range(repetitions):
                file.write(block)
        tracemalloc.start()
        decode_file(tmp_path / f"{repetitions}.w64", tmp_path / f"{repetitions}.wav", Decoding(layout("7.1.4")))
        peak_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 16 s more are 49 MB; how many blocks of 1 MB are under way at once is up to the scheduler
    assert peak_bytes[1] - peak_bytes[0] < 5e6
    assert peak_bytes[0] < 60e6


def test_the_digest_of_a_decoder_depends_on_nine_digits_of_its_coefficients():
    """Two machines round the tenth digit, and the sign of a zero, differently; one tap is a matrix."""
    matrix = np.array([[0.123456789, -0.0], [0.5, 1.0]])
    expected = sha256_of([[0.123456789, 0.0], [0.5, 1.0]])
    assert _digest(Filters(matrix[:, :, None])) == expected
    assert _digest(Filters(matrix[:, :, None] + 4e-10)) == expected
    assert _digest(Filters(matrix[:, :, None] + 6e-10)) != expected
    two = np.stack([matrix, matrix], 2)
    assert _digest(Filters(two)) == sha256_of((two + 0.0).tolist())


def test_a_record_follows_the_file_that_is_made_again(tmp_path):
    write_scene(tmp_path / "a.wav", scene())
    for level in (1.0, 0.5):
        write_scene(tmp_path / "a.wav", Scene(np.float32(level) * scene().samples, 48_000), force=True)
        record = decode_file(tmp_path / "a.wav", tmp_path / "f.wav", Decoding(layout("5.1")), force=True)
        assert json.loads((tmp_path / "f.wav.json").read_text()) == record
    assert record["peak_dbfs"] == round(record["peak_dbfs"], 4)


def test_dither_has_the_step_of_16_bits(tmp_path):
    """A quarter of a step above zero becomes -1, 0 and 1 steps; half of the dither would leave it at 0 and 1."""
    quiet = Scene(np.float32([[0.25 / 32_768]] * 4) * np.ones((4, 48_000), np.float32), 48_000)
    write_scene(tmp_path / "a.wav", quiet)
    form = FeedFormat(subtype="PCM_16", dither=True)
    decode_file(tmp_path / "a.wav", tmp_path / "f.wav", Decoding(layout("5.1")), form)
    steps = 32_768 * read(tmp_path / "f.wav")[0]
    heard = steps[steps.any(1)]
    assert set(np.unique(heard)) == {-1.0, 0.0, 1.0}
    assert np.abs(heard).mean() > 0.2
