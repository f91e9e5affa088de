import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from render.common.errors import InputError
from render.fileio.audio_file import blocks, info, read, write_feed, write_scene, writer
from render.fileio.container import Header, build_header, read_header
from render.fileio.pcm import encode, rounded
from render.fileio.scene_file import read_scene
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene

# Suffix, libsndfile's name of the container
CONTAINERS = [(".wav", "WAV"), (".rf64", "RF64"), (".w64", "W64"), (".caf", "CAF"), (".flac", "FLAC")]
STEP = {"PCM_16": 2.0**-15, "PCM_24": 2.0**-23, "PCM_32": 2.0**-23, "FLOAT": 0.0, "DOUBLE": 0.0}
CASES = [
    (suffix, name, subtype, channels)
    for suffix, name in CONTAINERS
    for subtype in STEP
    for channels in (1, 2, 3, 16)
    if name != "FLAC" or (channels <= 8 and subtype in ("PCM_16", "PCM_24"))
]


def noise(channels, length, seed=0, level=0.2):
    return (level * np.random.default_rng(seed).standard_normal((channels, length))).astype(np.float32)


@pytest.mark.parametrize(("suffix", "name", "subtype", "channels"), CASES)
def test_libsndfile_reads_what_we_write(tmp_path, suffix, name, subtype, channels):
    samples, path = noise(channels, 1001), tmp_path / f"x{suffix}"
    with writer(path, channels, 44100, subtype) as file:
        file.write(samples[:, :300])
        file.write(samples[:, 300:])
    theirs, rate = soundfile.read(path, dtype="float32", always_2d=True)
    about = soundfile.info(path)
    assert (rate, about.subtype, about.frames) == (44100, subtype, 1001)
    np.testing.assert_array_equal(read(path)[0], theirs.T)
    assert np.abs(theirs.T - samples).max() <= STEP[subtype] / 2


@pytest.mark.parametrize(("suffix", "name", "subtype", "channels"), CASES)
def test_we_read_what_libsndfile_writes(tmp_path, suffix, name, subtype, channels):
    path = tmp_path / "no_suffix_is_needed"
    soundfile.write(path, noise(channels, 1001).T, 48000, subtype, format=name)
    about = info(path)
    assert (about.container, about.subtype, about.channels, about.length) == (name, subtype, channels, 1001)
    np.testing.assert_array_equal(read(path)[0], soundfile.read(path, dtype="float32", always_2d=True)[0].T)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=st.integers(-(2**23), 2**23 - 1)),
    st.sampled_from([".wav", ".rf64", ".w64", ".caf", ".flac"]),
)
def test_24_bit_integers_come_back_as_they_were(tmp_path, integers, suffix):
    samples, path = (integers / 2.0**23).astype(np.float32), tmp_path / f"x{suffix}"
    with writer(path, len(integers), 48000, "PCM_24", force=True) as file:
        file.write(samples)
    np.testing.assert_array_equal(read(path)[0] * 2.0**23, integers)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.integers(0, 1500), st.integers(0, 1500), st.integers(1, 700))
def test_any_range_in_any_blocks_is_the_same_samples(tmp_path, start, length, block_length):
    path = tmp_path / "x.wav"
    if not path.exists():
        write_scene(path, Scene(noise(4, 1500), 48000), "PCM_24")
    if start + length > 1500:
        with pytest.raises(
            InputError, match=f"samples {start} to {start + length} were asked for, the file has 1500"
        ):
            list(blocks(path, start, length, block_length))
    elif length:
        pieces = list(blocks(path, start, length, block_length))
        assert {piece.shape[1] for piece in pieces[:-1]} <= {block_length}
        np.testing.assert_array_equal(np.hstack(pieces), read(path)[0][:, start : start + length])


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".w64", ".caf"])
@pytest.mark.parametrize("reserved", [1, 1000, 1001, 5000])
def test_a_file_has_the_samples_that_were_written_whatever_was_reserved(tmp_path, suffix, reserved):
    for name, length in (("reserved", reserved), ("not", 0)):
        with writer(tmp_path / (name + suffix), 3, 48000, "PCM_24", length=length) as file:
            file.write(noise(3, 1001))
    assert (tmp_path / f"reserved{suffix}").read_bytes() == (tmp_path / f"not{suffix}").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems reserve nothing")
def test_a_full_disk_is_found_before_anything_is_written(tmp_path):
    """A limit for files stands for the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with (
            pytest.raises(OSError, match=r"File too large: .*x\.wav"),
            writer(tmp_path / "x.wav", 16, 48000, "FLOAT", length=10_000),
        ):
            pytest.fail("there is no room")
        with writer(tmp_path / "y.wav", 16, 48000, "FLOAT", length=1000) as file:
            file.write(noise(16, 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["y.wav"]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".w64"])
def test_integer_files_saturate_and_count(tmp_path, suffix):
    samples = np.zeros((2, 10), np.float32)
    samples[1, 4], samples[0, 6], samples[0, 7], samples[1, 8] = 1.5, -7.0, 1.0, 0.999
    with writer(tmp_path / f"x{suffix}", 2, 48000, "PCM_16") as file:
        file.write(np.zeros((2, 5), np.float32))
        file.write(samples)
    back = read(tmp_path / f"x{suffix}")[0]
    assert (file.clipped, file.first_clipped) == (2, (1, 9))
    assert back[1, 9] == back[0, 12] == 32767 / 32768
    assert back[0, 11] == -1.0
    assert back[1, 13] == pytest.approx(0.999, abs=2.0**-16)


def test_float_files_keep_what_lies_beyond_full_scale(tmp_path):
    samples = np.array([[3.0, -2.5]], np.float32)
    write_scene(tmp_path / "x.wav", Scene(samples, 48000))
    np.testing.assert_array_equal(read_scene(tmp_path / "x.wav").samples, samples)


def broken_off(path):
    with writer(path, 2, 48000) as file:
        file.write(noise(2, 100))
        raise ZeroDivisionError


def infinite_in_the_second_block(path):
    bad = noise(2, 10)
    bad[1, 3] = np.inf
    with writer(path, 2, 48000) as file:
        file.write(noise(2, 100))
        file.write(bad)


def empty(path):
    with writer(path, 2, 48000) as file:
        file.write(noise(2, 0))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (broken_off, ZeroDivisionError, None),
        (infinite_in_the_second_block, InputError, "inf in channel 1 at sample 103"),
        (empty, InputError, "no samples to write"),
    ],
)
def test_an_error_while_writing_leaves_nothing_behind(tmp_path, suffix, write, error, message):
    with pytest.raises(error, match=message):
        write(tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_results_are_not_overwritten_by_others(tmp_path):
    scene = Scene(noise(4, 100), 48000)
    write_scene(tmp_path / "x.wav", scene)
    write_scene(tmp_path / "x.wav", scene)
    with pytest.raises(InputError, match=r"x\.wav: exists and differs"):
        write_scene(tmp_path / "x.wav", Scene(noise(4, 100, seed=1), 48000))
    np.testing.assert_array_equal(read_scene(tmp_path / "x.wav").samples, scene.samples)


@pytest.mark.parametrize(
    ("name", "channels", "subtype", "message"),
    [
        ("x.flac", 16, "PCM_24", r"at most 8 channels, not 16; choose \.w64 or \.rf64"),
        ("x.flac", 2, "FLOAT", "FLAC holds PCM_16 or PCM_24, not FLOAT"),
        ("x.mp3", 2, "PCM_16", r"suffix '\.mp3'; known are \.wav"),
        ("x.wav", 2, "MU_LAW", "subtype 'MU_LAW'; known are PCM_16"),
    ],
)
def test_what_a_container_cannot_hold_is_refused(tmp_path, name, channels, subtype, message):
    with pytest.raises(InputError, match=message), writer(tmp_path / name, channels, 48000, subtype):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_7_1_4_file_in_wav_order_says_so_in_its_mask(tmp_path):
    of = layout("7.1.4")
    samples = np.repeat(np.arange(12, dtype=np.float32)[:, None] / 16, 4, axis=1)
    write_feed(tmp_path / "wav.wav", Feed(samples, 48000, of), "PCM_24", order="wav")
    write_feed(tmp_path / "bs2051.wav", Feed(samples, 48000, of), "PCM_24")
    assert info(tmp_path / "wav.wav").channel_mask == 0x2D63F
    assert info(tmp_path / "bs2051.wav").channel_mask == 0
    # WAVEFORMATEXTENSIBLE: after RIFF (12), JUNK (36) and the chunk's head (8), 20 bytes into the format
    raw = (tmp_path / "wav.wav").read_bytes()
    assert raw[48:52] == b"fmt "
    assert raw[76:80] == (0x2D63F).to_bytes(4, "little")
    in_file = read(tmp_path / "wav.wav")[0][:, 0] * 16
    np.testing.assert_array_equal(in_file, [0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11])


def test_scenes_need_a_square_number_of_channels(tmp_path):
    with writer(tmp_path / "x.wav", 3, 48000) as file:
        file.write(noise(3, 10))
    with pytest.raises(
        InputError, match=r"x\.wav: 3 channels are not an Ambisonic scene; possible are 1 \(order 0\)"
    ):
        read_scene(tmp_path / "x.wav")


@pytest.mark.parametrize("container", ["WAV", "W64", "CAF"])
def test_headers_past_4_gib(tmp_path, container):
    """A sparse file of 5 GB: sizes, positions and the samples at its end, also through libsndfile."""
    length, channels = 78_125_000, 16
    header = Header(container, "FLOAT", channels, 48000, data_bytes=length * channels * 4)
    start, path = build_header(header), tmp_path / "big"
    with open(path, "wb") as file:
        file.write(start)
        file.seek(len(start) + header.data_bytes - 4 * channels)
        file.write(np.full(channels, 0.25, "<f4").tobytes())
    about = info(path)
    assert (about.length, about.channels) == (length, channels)
    assert about.container == ("RF64" if container == "WAV" else container)
    np.testing.assert_array_equal(read(path, length - 2)[0], np.repeat([[0.0, 0.25]], channels, axis=0))
    with soundfile.SoundFile(path) as theirs:
        assert theirs.frames == length
        theirs.seek(length - 1)
        assert (theirs.read(1) == 0.25).all()


def test_the_length_of_a_header_does_not_depend_on_the_size(tmp_path):
    for container in ("WAV", "RF64", "W64", "CAF"):
        for subtype in STEP:
            small, large = (
                build_header(Header(container, subtype, 12, 48000, 0x2D63F, data_bytes=n * 12 * 8))
                for n in (0, 10**9)
            )
            assert len(small) == len(large)


def test_bw64_is_read(tmp_path):
    """BS.2088 files begin with BW64 where RF64 files begin with RF64, and are otherwise alike."""
    with writer(tmp_path / "x.rf64", 4, 48000, "PCM_24") as file:
        file.write(noise(4, 50))
    raw = (tmp_path / "x.rf64").read_bytes()
    (tmp_path / "x.wav").write_bytes(b"BW64" + raw[4:])
    assert info(tmp_path / "x.wav").container == "BW64"
    np.testing.assert_array_equal(read(tmp_path / "x.wav")[0], read(tmp_path / "x.rf64")[0])


def test_big_endian_caf_is_read(tmp_path):
    for subtype in STEP:
        soundfile.write(tmp_path / "x.caf", noise(3, 50).T, 48000, subtype, endian="BIG", format="CAF")
        with open(tmp_path / "x.caf", "rb") as file:
            assert read_header(file, "x").big_endian
        expected = soundfile.read(tmp_path / "x.caf", dtype="float32")[0].T
        np.testing.assert_array_equal(read(tmp_path / "x.caf")[0], expected)


def test_paths_may_be_text(tmp_path):
    write_scene(str(tmp_path / "x.wav"), Scene(noise(1, 10), 48000))
    assert info(str(tmp_path / "x.wav")).path == Path(tmp_path / "x.wav")


@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000, 16384, 70_001])
def test_packed_24_bit_samples_are_the_low_three_bytes(length):
    samples = np.random.default_rng(length).uniform(-1.1, 1.1, (5, length)).astype(np.float32)
    whole = rounded(samples, 24).astype("<i4").reshape(-1).view(np.uint8).reshape(-1, 4)
    np.testing.assert_array_equal(encode(samples, "PCM_24"), whole[:, :3].reshape(-1))
