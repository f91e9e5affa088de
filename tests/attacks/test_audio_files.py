"""Hostile and broken audio files: each must give one clear error, and no allocation it merely asks for."""

import contextlib
import resource
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from render.common.errors import InputError
from render.fileio.audio_file import info, read, writer
from render.fileio.container import Header, build_header
from render.fileio.scene_file import read_scene

CONTAINERS = [".wav", ".rf64", ".w64", ".caf", ".flac"]


def noise(channels=4, length=2000):
    return (0.2 * np.random.default_rng(0).standard_normal((channels, length))).astype(np.float32)


def written(path, channels=4, length=2000, subtype="PCM_24"):
    with writer(path, channels, 48000, subtype) as file:
        file.write(noise(channels, length))
    return path


@pytest.fixture
def full_disk():
    """No file may grow beyond 20 kB: writing fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, full_disk, suffix):
    with pytest.raises(OSError, match=r"File too large|could not write"):
        written(tmp_path / f"x{suffix}", length=200_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("kept", [0.999, 0.5, 0.02])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = written(tmp_path / f"x{suffix}")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(InputError, match=r"truncated|incomplete"):
        read(path)


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_shorter_header_is_refused(tmp_path, suffix):
    path = written(tmp_path / f"x{suffix}", length=3)
    raw = path.read_bytes()
    for kept in range(len(raw)):
        path.write_bytes(raw[:kept])
        with pytest.raises(InputError):
            read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.sampled_from(CONTAINERS), st.integers(0, 160), st.integers(0, 255))
def test_any_changed_byte_gives_samples_or_an_input_error(tmp_path, suffix, position, value):
    path = tmp_path / f"x{suffix}"
    good = tmp_path / f"good{suffix}"
    if not good.exists():
        written(good, channels=2, length=60)
    raw = bytearray(good.read_bytes())
    raw[position % len(raw)] = value
    path.write_bytes(raw)
    with contextlib.suppress(InputError):
        assert np.isfinite(read(path)[0]).all()


@pytest.mark.parametrize("content", [b"", b"R", b"RIFF", b"Dear Sir or Madam, " * 20, b"\0" * 5000, b"OggS" * 99])
def test_what_is_no_audio_is_refused(tmp_path, content):
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.wav"):
        info(tmp_path / "x.wav")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"x\.wav: no such file"):
        info(tmp_path / "x.wav")
    with pytest.raises(InputError, match="is a folder"):
        info(tmp_path)


@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "CAF"])
def test_a_file_without_samples_is_refused(tmp_path, container):
    (tmp_path / "x").write_bytes(build_header(Header(container, "PCM_24", 4, 48000)))
    with pytest.raises(InputError, match=r"holds no samples \(length 0\)"):
        info(tmp_path / "x")


@pytest.mark.parametrize("declared", [2**31, 2**32 - 4])
def test_a_huge_declared_size_costs_no_memory(tmp_path, declared):
    path = written(tmp_path / "x.wav", length=100)
    raw = bytearray(path.read_bytes())
    raw[104 - 4 : 104] = struct.pack("<I", declared)
    assert raw[96:100] == b"data"
    path.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(InputError, match=f"declares {declared} bytes of samples, 1200 are present"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_rf64_that_declares_exabytes(tmp_path):
    path = written(tmp_path / "x.rf64", length=100)
    raw = bytearray(path.read_bytes())
    raw[28:36] = struct.pack("<Q", 2**62)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="truncated"):
        read(path)


def with_declared_size(path, declared):
    """Write a size into the head of the chunk of samples, as the container counts it."""
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data")
    place, form = {".wav": (at + 4, "<I"), ".w64": (at + 16, "<Q"), ".caf": (at + 4, ">Q"), ".rf64": (28, "<Q")}[
        path.suffix
    ]
    struct.pack_into(form, raw, place, declared)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("suffix", [".wav", ".rf64", ".w64", ".caf"])
@pytest.mark.parametrize("seam", ["sound", "silence"])
def test_a_size_that_is_too_small_is_refused_whatever_stands_at_the_seam(tmp_path, suffix, seam):
    with writer(tmp_path / f"x{suffix}", 4, 48000, "PCM_24") as file:
        samples = noise(4, 2000)
        samples[:, 50:1000] *= seam == "sound"
        file.write(samples)
    overhead = {".w64": 24, ".caf": 4}.get(suffix, 0)
    with pytest.raises(InputError, match="declares 1200 bytes of samples, but 22800 more bytes follow"):
        info(with_declared_size(tmp_path / f"x{suffix}", 1200 + overhead))


@pytest.mark.parametrize(
    ("suffix", "declared"),
    [
        *((".wav", size) for size in (0, 0x7FFFF000, 0x7FFFF000 // 12 * 12, 0xFFFFFFFF)),
        *((".rf64", size) for size in (0, 0xFFFFFFFF, 2**63, 2**64 - 1)),
        *((".w64", size) for size in (0, 24, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)),
        *((".caf", size) for size in (0, 4, 0x7FFFF000, 2**63, 2**64 - 1)),
    ],
)
def test_a_size_that_a_pipe_left_open_means_to_the_end(tmp_path, suffix, declared):
    path = written(tmp_path / f"x{suffix}", length=1001)
    whole = read(path)[0]
    np.testing.assert_array_equal(read(with_declared_size(path, declared))[0], whole)


@pytest.mark.parametrize("suffix", [".wav", ".rf64", ".w64", ".caf"])
def test_an_open_size_with_no_samples_is_an_empty_file(tmp_path, suffix):
    path = written(tmp_path / f"x{suffix}", length=1)
    raw = path.read_bytes()
    head = raw.index(b"data") + {".w64": 24, ".caf": 16}.get(suffix, 8)
    for kept in (head, head - 4 if suffix == ".caf" else head):
        path.write_bytes(raw[:kept])
        with pytest.raises(InputError, match="holds no samples"):
            info(with_declared_size(path, 0xFFFFFFFF))


def test_an_empty_chunk_of_samples_before_another_chunk_is_empty(tmp_path):
    path = written(tmp_path / "x.wav", length=1)
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index(b"data")] + b"data" + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(InputError, match="holds no samples"):
        info(path)


def test_a_stream_that_ends_within_a_sample_is_refused(tmp_path):
    path = written(tmp_path / "x.wav", length=1000)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="11995 bytes of samples are not a multiple of 12"):
        info(with_declared_size(path, 0xFFFFFFFF))


def test_many_empty_chunks_cost_no_time(tmp_path):
    path = written(tmp_path / "x.wav", length=1000)
    path.write_bytes(path.read_bytes() + 500_000 * (b"LIST" + bytes(4)))
    with pytest.raises(InputError, match="more bytes follow that are not a chunk"):
        info(path)


@pytest.mark.parametrize(("bits", "frame"), [(24, 16), (16, 16), (24, 0), (32, 12)])
def test_samples_in_words_of_another_width_are_refused(tmp_path, bits, frame):
    for suffix, form in ((".wav", "<HH"), (".caf", ">I8xI")):
        path = written(tmp_path / f"x{suffix}", subtype=f"PCM_{bits}")
        raw = bytearray(path.read_bytes())
        if suffix == ".wav":
            struct.pack_into(form, raw, raw.index(b"fmt ") + 8 + 12, frame, bits)
        else:
            struct.pack_into(">I", raw, raw.index(b"desc") + 12 + 16, frame)
        path.write_bytes(raw)
        with pytest.raises(
            InputError, match=f"4 channels of {bits} bits need {bits // 2} bytes, .* says {frame} "
        ):
            info(path)


def test_chunks_after_the_samples_are_no_damage(tmp_path):
    path = written(tmp_path / "x.wav", length=1000)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert info(path).length == 1000


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_sample_that_is_not_finite_is_named(tmp_path, subtype, value):
    samples = noise(4, 70_000).astype(np.float64)
    samples[2, 69_000] = value
    samples[1, 69_500] = -value
    soundfile.write(tmp_path / "x.wav", samples.T, 48000, subtype)
    with pytest.raises(InputError, match=r"x\.wav: -?(nan|inf) in channel 2 at sample 69000"):
        read_scene(tmp_path / "x.wav")


@pytest.mark.parametrize("channels", [2, 3, 12, 17])
def test_channel_counts_that_are_no_scene_are_answered_with_the_possible_ones(tmp_path, channels):
    with pytest.raises(InputError, match=rf"{channels} channels .*4 \(order 1\), 9 \(order 2\), 16 \(order 3\)"):
        read_scene(written(tmp_path / "x.wav", channels))


@pytest.mark.parametrize(("offset", "value", "message"), [
    (58, struct.pack("<H", 0), "declares 0 channels"),
    (58, struct.pack("<H", 60_000), "declares 60000 channels"),
    (60, struct.pack("<I", 0), "declares 0 Hz"),
    (56, struct.pack("<H", 0x55), "encoding 0x55"),
    (70, struct.pack("<H", 20), "20 bits"),
])  # fmt: skip
def test_impossible_formats(tmp_path, offset, value, message):
    path = written(tmp_path / "x.wav")
    raw = bytearray(path.read_bytes())
    assert raw[48:52] == b"fmt "
    raw[offset : offset + len(value)] = value
    path.write_bytes(raw)
    with pytest.raises(InputError, match=message):
        info(path)


def test_a_compressed_file_in_wav_is_refused(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(1).T, 48000, "ULAW")
    with pytest.raises(InputError, match="samples of 8 bits in encoding 0x7 are not supported"):
        info(tmp_path / "x.wav")


@pytest.mark.parametrize(("suffix", "at", "order"), [(".w64", 56, "<Q"), (".caf", 12, ">Q")])
@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_chunk_that_leads_beyond_every_file_is_the_last_one(tmp_path, suffix, at, order, size):
    """No file has a position of 2^63: it is not looked for there."""
    path = written(tmp_path / f"x{suffix}", length=100)
    raw = bytearray(path.read_bytes())
    raw[at : at + 8] = struct.pack(order, size)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="without samples"):
        info(path)
