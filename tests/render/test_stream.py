import time
from itertools import pairwise

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import info, read, write_scene, writer
from render.fileio.block_stream import ahead, dithered, parts, resampled, resampled_length, trimmed, with_bass
from render.hoa.calibration import Trim, trims
from render.hoa.layout import layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics, to_sn3d
from render.loudspeakers.renderer import decode, decode_file


def scene(order=3, frames=5000, level=0.05, seed=0, rate=48000):
    samples = level * np.random.default_rng(seed).standard_normal(((order + 1) ** 2, frames))
    return Scene(samples.astype(np.float32), rate)


def pieces(signal, *cuts):
    edges = [0, *cuts, signal.shape[1]]
    return [signal[:, a:b] for a, b in pairwise(edges)]


def joined(blocks):
    return np.concatenate(list(blocks), axis=1)


# ----------------------------------------------------------------------------------------- conventions


def fuma_harmonics(azimuth, elevation):
    """Third-order Furse-Malham set as published (Malham 2003, "Higher order Ambisonic systems", table 1)."""
    a, e = azimuth, elevation
    sa, ca, se, ce = np.sin(a), np.cos(a), np.sin(e), np.cos(e)
    return np.stack([
        np.full(a.shape, np.sqrt(0.5)), ca * ce, sa * ce, se,
        1.5 * se**2 - 0.5, ca * np.sin(2 * e), sa * np.sin(2 * e), np.cos(2 * a) * ce**2, np.sin(2 * a) * ce**2,
        se * (5 * se**2 - 3) / 2,
        np.sqrt(135 / 256) * ca * ce * (5 * se**2 - 1), np.sqrt(135 / 256) * sa * ce * (5 * se**2 - 1),
        np.sqrt(27 / 4) * np.cos(2 * a) * se * ce**2, np.sqrt(27 / 4) * np.sin(2 * a) * se * ce**2,
        np.cos(3 * a) * ce**3, np.sin(3 * a) * ce**3,
    ], axis=1)  # fmt: skip


@pytest.mark.parametrize("order", [1, 2, 3])
def test_fuma_is_the_published_set(order):
    azimuth, elevation = fibonacci_sphere(50)
    channels = fuma_harmonics(azimuth, elevation)[:, : (order + 1) ** 2]
    expected = spherical_harmonics(order, azimuth, elevation)
    np.testing.assert_allclose(channels @ to_sn3d(order, "fuma").T, expected, atol=1e-6)


def test_the_same_scene_in_three_conventions_gives_the_same_feed(tmp_path):
    original = scene()
    for convention in ("sn3d", "n3d", "fuma"):
        other = np.linalg.inv(to_sn3d(3, convention)) @ original.samples
        write_scene(tmp_path / f"{convention}.wav", Scene(other.astype(np.float32), 48000))
        decode_file(
            tmp_path / f"{convention}.wav", tmp_path / f"{convention}.feed.wav", layout("7.1.4"),
            subtype="FLOAT", convention=convention,
        )  # fmt: skip
        feed, _ = read(tmp_path / f"{convention}.feed.wav")
        np.testing.assert_allclose(feed, decode(original, layout("7.1.4")).samples, atol=2e-7)
    assert to_sn3d(2, "n3d")[4, 4] == pytest.approx(1 / sn3d_to_n3d(2)[4])


def test_fuma_above_third_order_is_refused(tmp_path):
    write_scene(tmp_path / "a.wav", scene(order=4))
    with pytest.raises(InputError, match="FuMa is defined to order 3, the scene has 4"):
        decode_file(tmp_path / "a.wav", tmp_path / "b.wav", layout("5.1"), convention="fuma")


# ---------------------------------------------------------------------------------------- several files


def test_a_scene_in_two_files_is_that_of_one(tmp_path):
    whole = scene(frames=40_000)
    write_scene(tmp_path / "whole.wav", whole)
    for first, last in ((1, 8), (9, 16)):
        with writer(tmp_path / f"take 1_{first:02d}-{last:02d}ch.wav", 8, 48000, "FLOAT") as file:
            file.write(whole.samples[first - 1 : last])
    record = decode_file(tmp_path / "take 1_09-16ch.wav", tmp_path / "a.wav", layout("7.1.4"))
    decode_file(tmp_path / "whole.wav", tmp_path / "b.wav", layout("7.1.4"))
    np.testing.assert_array_equal(read(tmp_path / "a.wav")[0], read(tmp_path / "b.wav")[0])
    assert record["input"] == ["take 1_01-08ch.wav", "take 1_09-16ch.wav"]


def part(path, channels, frames=100, rate=48000):
    with writer(path, channels, rate) as file:
        file.write(np.zeros((channels, frames), np.float32))


def test_parts_that_do_not_fit_are_refused_by_name(tmp_path):
    part(tmp_path / "a_09-16ch.wav", 8)
    with pytest.raises(InputError, match=r"a_09-16ch\.wav: from channel 1 on none follow in a_09-16ch\.wav"):
        parts(tmp_path / "a_09-16ch.wav")
    part(tmp_path / "a_01-08ch.wav", 8, frames=99)
    with pytest.raises(InputError, match=r"a_09-16ch\.wav: 100 samples at 48000 Hz, a_01-08ch\.wav has 99"):
        decode_file(tmp_path / "a_01-08ch.wav", tmp_path / "feed.wav", layout("5.1"))
    part(tmp_path / "b_01-04ch.wav", 3)
    with pytest.raises(InputError, match=r"b_01-04ch\.wav: 3 channels, its name says 01 to 04"):
        decode_file(tmp_path / "b_01-04ch.wav", tmp_path / "feed.wav", layout("5.1"))
    assert parts(tmp_path / "plain.wav") == (tmp_path / "plain.wav",)
    with pytest.raises(InputError, match=r"c_01-08ch\.wav: no such file"):
        decode_file(tmp_path / "c_01-08ch.wav", tmp_path / "feed.wav", layout("5.1"))


# --------------------------------------------------------------------------------------- order and rate


def test_channels_in_a_listed_order(tmp_path):
    write_scene(tmp_path / "a.wav", scene())
    labels = "M+000,M-030,M+030,LFE1,M-110,M+110"
    record = decode_file(tmp_path / "a.wav", tmp_path / "b.wav", layout("5.1"), order=labels, subtype="FLOAT")
    feed = decode(scene(), layout("5.1")).samples
    np.testing.assert_array_equal(read(tmp_path / "b.wav")[0], feed[[2, 1, 0, 3, 5, 4]])
    assert [channel["label"] for channel in record["channels"]] == labels.split(",")
    assert info(tmp_path / "b.wav").channel_mask == 0
    with pytest.raises(InputError, match="needs each label of 0\\+5\\+0 once: M\\+030,M-030"):
        decode_file(tmp_path / "a.wav", tmp_path / "c.wav", layout("5.1"), order="M+000,M-030")


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 48000), (48000, 44100)])
def test_another_rate_keeps_tones_to_18_khz_and_the_length(tmp_path, from_hz, to_hz):
    time_s = np.arange(from_hz) / from_hz
    tone = np.stack([np.cos(2 * np.pi * 18000 * time_s), 0 * time_s, 0 * time_s, 0 * time_s]).astype(np.float32)
    write_scene(tmp_path / "a.wav", Scene(0.5 * tone, from_hz))
    record = decode_file(
        tmp_path / "a.wav", tmp_path / "b.wav", layout("5.1"), subtype="FLOAT", sample_rate_hz=to_hz
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


def test_resampled_length_is_to_the_nearest_sample():
    assert resampled_length(44100, 44100, 48000) == 48000
    assert resampled_length(1, 44100, 48000) == 1
    signal = np.ones((2, 1000), np.float32)
    assert joined(resampled(pieces(signal, 10, 500), 2, 44100, 48000, 1088)).shape == (2, 1088)


# -------------------------------------------------------------------------------------------------- LFE


def test_the_lfe_of_libiamf_is_its_low_pass_of_w(tmp_path):
    """Recursion as in libiamf's h2m_rdr.c, lfefilter_update, sample by sample; 7.1.4 has 11 other loudspeakers."""
    original = scene(frames=3000, level=0.3)
    write_scene(tmp_path / "a.wav", original)
    decode_file(tmp_path / "a.wav", tmp_path / "b.wav", layout("7.1.4"), subtype="FLOAT", lfe="libiamf")
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
        decode_file(tmp_path / "a.wav", tmp_path / "c.wav", layout("7.1.4"), lfe="on")


def test_bass_does_not_depend_on_the_blocks():
    signal = scene(frames=900).samples
    np.testing.assert_allclose(
        joined(with_bass(pieces(signal, 1, 400), 48000)), joined(with_bass([signal], 48000)), atol=1e-7
    )


# ------------------------------------------------------------------------------------------------ dither


def test_dither_makes_the_error_independent_of_the_signal():
    """Lipshitz et al. 1992: rounded after triangular dither, the error has mean 0 and power 3/12 step²."""
    step = 2.0**-15
    for level in (0.0 + 0.1, 0.25, 0.5):  # of a step
        signal = np.full((1, 200_000), level * step, np.float32)
        rounded = np.rint(joined(dithered([signal], 16)) / step)
        error = rounded - level
        assert error.mean() == pytest.approx(0.0, abs=0.006)
        assert np.square(error).mean() == pytest.approx(0.25, abs=0.006)


def test_dither_is_repeatable_and_leaves_silence(tmp_path):
    original = scene(frames=20_000)
    write_scene(tmp_path / "a.wav", original)
    for name in ("b", "c"):
        decode_file(tmp_path / "a.wav", tmp_path / f"{name}.wav", layout("5.1"), subtype="PCM_16", dither=True)
    first = read(tmp_path / "b.wav")[0]
    np.testing.assert_array_equal(first, read(tmp_path / "c.wav")[0])
    assert not first[3].any()
    assert np.abs(first - decode(original, layout("5.1")).samples).max() < 1.6 * 2.0**-15
    with pytest.raises(InputError, match="dither is for PCM_16; PCM_24 needs none"):
        decode_file(tmp_path / "a.wav", tmp_path / "d.wav", layout("5.1"), dither=True)


# ------------------------------------------------------------------------------------------------- trims


def lab(tmp_path, text):
    (tmp_path / "lab.toml").write_text('layout = "stereo"\n[loudspeakers]\n' + text)
    return tmp_path / "lab.toml"


def test_nearer_loudspeakers_are_attenuated_and_delayed(tmp_path):
    found = trims(lab(tmp_path, '"M+030" = { distance = 2.0 }\n"M-030" = { distance = 4.0, gain_db = 1.5 }'))
    assert found["M+030"].gain_db == pytest.approx(-6.0206, abs=1e-4)
    assert found["M+030"].delay_s == pytest.approx(2 / 343)
    assert found["M-030"] == Trim(pytest.approx(1.5), 0.0)


def test_a_trimmed_feed_arrives_together(tmp_path):
    """What two loudspeakers at different distances make of a trimmed feed reaches the listener as one."""
    write_scene(tmp_path / "a.wav", scene(order=1, frames=2000))
    trim = trims(lab(tmp_path, '"M+030" = { distance = 1.715 }\n"M-030" = { distance = 3.43 }'))
    decode_file(tmp_path / "a.wav", tmp_path / "b.wav", layout("stereo"), subtype="FLOAT", trims=trim)
    feed, _ = read(tmp_path / "b.wav")
    plain = decode(scene(order=1, frames=2000), layout("stereo")).samples
    assert feed.shape[1] == 2000 + 240
    left_at_listener = feed[0, 240:] / 1.715
    np.testing.assert_allclose(left_at_listener, plain[0] / 3.43, rtol=1e-5)
    np.testing.assert_allclose(feed[1, :2000] / 3.43, plain[1] / 3.43, rtol=1e-5)


def test_trimming_does_not_depend_on_the_blocks():
    signal = scene(order=0, frames=500).samples
    both = np.concatenate([signal, 2 * signal])
    whole = joined(trimmed([both], [1.0, 0.5], [30, 0]))
    np.testing.assert_array_equal(joined(trimmed(pieces(both, 3, 200), [1.0, 0.5], [30, 0])), whole)
    np.testing.assert_array_equal(whole[0], np.pad(signal[0], (30, 0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"M+030" = { distance = 2.0 }', "M-030 has no distance, others have"),
        ('"M+030" = { distance = 0 }', "M\\+030: distance 0; possible are 0.3 to 100"),
        ('"M+030" = { gain_db = nan }', "gain_db nan; possible"),
        ('"M+030" = { delay_ms = "1" }', "delay_ms '1'; possible"),
    ],
)
def test_trims_that_cannot_be_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        trims(lab(tmp_path, text))


# ------------------------------------------------------------------------------------------------ ahead


def test_blocks_prepared_ahead_are_the_same_and_errors_arrive():
    assert [int(block) for block in ahead(iter(range(50)))] == list(range(50))

    def failing():
        yield 1
        raise InputError("sample 7 is NaN")

    with pytest.raises(InputError, match="sample 7"):
        list(ahead(failing()))


def test_whoever_stops_early_does_not_wait():
    def endless():
        while True:
            yield 0

    begin = time.monotonic()
    stream = ahead(endless())
    next(stream)
    stream.close()
    assert time.monotonic() - begin < 2
