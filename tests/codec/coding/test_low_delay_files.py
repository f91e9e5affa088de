"""The commands on a pipe: what goes in as it arrives comes out, and equals what files give."""

import numpy as np
import pytest

from codec.coding.files import AudioOutput
from render.common.errors import InputError
from render.fileio.audio_file import read


@pytest.fixture
def short(coded_files, tmp_path):
    samples, rate_hz = read(coded_files / "scene.wav", 0, 30_000)
    AudioOutput(tmp_path / "in.wav").write(iter([samples]), 4, rate_hz)
    return tmp_path / "in.wav", ("--model", coded_files / "model.safetensors", "--low-delay")


def test_a_pipe_gives_what_files_give(short, piped, run_codec, tmp_path):
    source, options = short
    run_codec("encode", source, "-o", tmp_path / "x.arvq", *options)
    data = piped("encode", source.read_bytes(), "-", "-o", "-", *options)
    assert data == (tmp_path / "x.arvq").read_bytes()
    (tmp_path / "out.wav").write_bytes(piped("decode", data, "-", "-o", "-", *options))
    run_codec("decode", tmp_path / "x.arvq", "-o", tmp_path / "whole.wav", *options[:2])
    run_codec("decode", tmp_path / "x.arvq", "-o", tmp_path / "arriving.wav", *options)
    whole, _ = read(tmp_path / "whole.wav")
    assert whole.shape == (4, 30_000)
    for name in ("out.wav", "arriving.wav"):
        np.testing.assert_array_equal(read(tmp_path / name)[0], whole)


def test_what_a_pipe_cannot_do_is_refused(short, piped, run_codec, tmp_path):
    source, options = short
    AudioOutput(tmp_path / "48.wav").write(iter([np.ones((4, 99), np.float32)]), 4, 48_000)
    with pytest.raises(
        InputError, match="48000 Hz, the model codes 44100 Hz; a stream of low delay is not resampled"
    ):
        piped("encode", (tmp_path / "48.wav").read_bytes(), "-", "-o", "-", *options)
    with pytest.raises(InputError, match="leave the range coding out"):
        run_codec("encode", source, "-o", tmp_path / "x.arvq", "--range-coding", *options)
    with pytest.raises(InputError, match="leave --conceal, --start, --seconds and --rate out"):
        run_codec("decode", source, "-o", tmp_path / "y.wav", "--start", "1", *options)
    data = piped("encode", source.read_bytes(), "-", "-o", "-", *options)
    with pytest.raises(InputError, match="samples of type FLOAT with --low-delay, not PCM_16"):
        piped("decode", data, "-", "-o", "-", "--subtype", "PCM_16", *options)
    assert not (tmp_path / "x.arvq").exists()
