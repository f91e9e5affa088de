"""WAV on a pipe: read as it arrives, written without a size."""

import io

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import read, writer
from render.fileio.wave_stream import read_wave_stream, wave_stream_header

SAMPLES = np.linspace(-0.9, 0.9, 3 * 1300, dtype=np.float32).reshape(3, 1300)


def wav(tmp_path, subtype):
    with writer(tmp_path / "x.wav", 3, 44_100, subtype) as file:
        file.write(SAMPLES)
    return (tmp_path / "x.wav").read_bytes()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("open_size", [False, True])
def test_a_stream_has_the_samples_of_the_file(tmp_path, subtype, open_size):
    data = wav(tmp_path, subtype)
    if open_size:
        at = data.index(b"data")
        data = data[: at + 4] + b"\xff\xff\xff\xff" + data[at + 8 :]
    stream = read_wave_stream(io.BytesIO(data), "pipe")
    assert (stream.channels, stream.sample_rate_hz) == (3, 44_100)
    blocks = list(stream.blocks)
    assert max(block.shape[1] for block in blocks) == 512
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), read(tmp_path / "x.wav")[0])


def test_a_block_is_there_before_the_next_one_has_arrived(tmp_path):
    data = wav(tmp_path, "FLOAT")
    begin = data.index(b"data") + 8
    file = io.BytesIO(data)
    stream = read_wave_stream(file, "pipe")
    assert file.tell() == begin
    next(stream.blocks)
    assert file.tell() == begin + 512 * 12


def test_what_stands_behind_the_samples_is_none(tmp_path):
    stream = read_wave_stream(io.BytesIO(wav(tmp_path, "PCM_16") + b"LIST\4\0\0\0abcd"), "pipe")
    assert sum(block.shape[1] for block in stream.blocks) == 1300


def test_a_written_stream_is_a_file_of_open_size(tmp_path):
    (tmp_path / "y.wav").write_bytes(wave_stream_header(3, 44_100) + SAMPLES.T.astype("<f4").tobytes())
    found, rate_hz = read(tmp_path / "y.wav")
    np.testing.assert_array_equal(found, SAMPLES)
    assert rate_hz == 44_100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"fLaC" + data[4:], "begins with b'fLaC'; what arrives on a pipe must be WAV"),
        (lambda data: data[:30], "ends before its samples begin"),
        (lambda data: data[:16] + b"\xff\xff\xff\x7f" + data[20:], "before the samples; the stream is damaged"),
        (lambda data: data[:12] + data[data.index(b"data") :], "the samples come before their format"),
        (lambda data: data[:-4] + b"\xff\xff\xff\x7f", "pipe: nan in channel 2 at sample 1299"),
        (lambda data: b"", "what arrives on a pipe must be WAV"),
    ],
)
def test_what_is_no_stream_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        list(read_wave_stream(io.BytesIO(change(wav(tmp_path, "FLOAT"))), "pipe").blocks)
