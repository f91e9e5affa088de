"""codec.encode as it is typed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codec.bitstream.format import Origin, parse_header
from render.common.errors import InputError
from render.fileio.audio_file import info, write_scene
from render.fileio.scene_file import read_scene
from render.hoa.scene import Scene

ROOT = Path(__file__).parents[2]


def test_no_command_replaces_its_own_input(run_codec, coded_files, tmp_path):
    (tmp_path / "scene.wav").write_bytes((coded_files / "scene.wav").read_bytes())
    model = ("--model", coded_files / "model.safetensors")
    with pytest.raises(InputError, match="is the input"):
        run_codec("encode", tmp_path / "scene.wav", "-o", tmp_path / "scene.wav", "--force", *model)


def test_several_files_go_into_a_folder(run_codec, coded_files, tmp_path):
    (tmp_path / "b.wav").write_bytes((coded_files / "scene.wav").read_bytes())
    model = ("--model", coded_files / "model.safetensors")
    run_codec("encode", coded_files / "scene.wav", tmp_path / "b.wav", "-o", tmp_path / "coded", *model)
    assert (tmp_path / "coded" / "b.arvq").read_bytes() == (coded_files / "x.arvq").read_bytes()
    with pytest.raises(InputError, match="need a folder"):
        run_codec("encode", coded_files / "scene.wav", tmp_path / "b.wav", "-o", tmp_path / "one.arvq", *model)


def test_pipes_and_threads_change_nothing(coded_files):
    """The whole way through standard input and output, with another number of threads, in other processes."""
    model = ["--model", coded_files / "model.safetensors"]
    threads = {f"{library}_NUM_THREADS": "3" for library in ("OMP", "OPENBLAS", "MKL")}

    def piped(verb, data):
        words = [sys.executable, "-m", f"codec.{verb}", "-", "-o", "-", *model]
        environment = os.environ | threads
        return subprocess.run(words, input=data, capture_output=True, cwd=ROOT, env=environment, check=True).stdout

    coded = piped("encode", (coded_files / "scene.wav").read_bytes())
    assert coded == (coded_files / "x.arvq").read_bytes()
    assert piped("decode", coded) == (coded_files / "x.wav").read_bytes()


@pytest.fixture(scope="module")
def recording_48k(run_codec, coded_files, tmp_path_factory):
    """Folder with own.wav, second order at 48 kHz, 4 s and one sample, and its stream own.arvq."""
    folder = tmp_path_factory.mktemp("own")
    noise = np.cumsum(np.random.default_rng(5).standard_normal((9, 192_001)), axis=1)
    samples = 0.01 * (noise - np.apply_along_axis(np.convolve, 1, noise, np.ones(400) / 400, "same"))
    write_scene(folder / "own.wav", Scene(samples.astype(np.float32), 48_000))
    run_codec(
        "encode", folder / "own.wav", "-o", folder / "own.arvq", "--model", coded_files / "model.safetensors"
    )
    return folder


def test_a_recording_of_another_rate_and_order_says_so_and_comes_back(
    run_codec, coded_files, recording_48k, tmp_path, capsys
):
    model = ("--model", coded_files / "model.safetensors")
    run_codec("encode", recording_48k / "own.wav", "-o", tmp_path / "x.arvq", *model)
    said = capsys.readouterr().err
    assert "kept the first 4 of 9 channels, order 1 of 2" in said
    assert "resampled from 48000 to 44100 Hz" in said
    header = parse_header((tmp_path / "x.arvq").read_bytes(), "x")
    assert header.origin == Origin(48_000, 0, 2)
    run_codec("decode", tmp_path / "x.arvq", "-o", tmp_path / "x.wav", *model)
    about = info(tmp_path / "x.wav")
    assert (about.channels, about.sample_rate_hz, about.length) == (4, 48_000, 192_001)
    run_codec("decode", tmp_path / "x.arvq", "-o", tmp_path / "coded.wav", "--rate", 44_100, *model)
    coded = read_scene(tmp_path / "coded.wav")
    assert (coded.sample_rate_hz, coded.length) == (44_100, header.length)
    whole, t = read_scene(tmp_path / "x.wav").samples, np.arange(192_001) / 48_000
    # the sampling theorem at two instants; a random network also has noise in the resampler's transition band
    for index in (48_000, 100_000):
        at = t[index] * 44_100 - np.arange(coded.length)
        near = np.abs(at) < 3000
        window = np.cos(np.pi * at[near] / 6000) ** 2
        expected = coded.samples[:, near] @ (np.sinc(at[near]) * window)
        np.testing.assert_allclose(whole[:, index], expected, atol=1e-2 * np.abs(whole).max())


def test_a_part_of_a_resampled_decoding_is_that_of_the_whole(run_codec, coded_files, recording_48k, tmp_path):
    model = ("--model", coded_files / "model.safetensors")
    run_codec("decode", recording_48k / "own.arvq", "-o", tmp_path / "whole.wav", *model)
    run_codec(
        "decode", recording_48k / "own.arvq", "-o", tmp_path / "part.wav", "--start", 2.5, "--seconds", 0.5, *model
    )
    whole, part = (read_scene(tmp_path / name).samples for name in ("whole.wav", "part.wav"))
    np.testing.assert_allclose(part, whole[:, 120_000:144_000], atol=1e-5 * np.abs(whole).max())


def test_other_rates_pass_pipes(piped, recording_48k, coded_files, tmp_path):
    words = ["-", "-o", "-", "--model", coded_files / "model.safetensors"]
    coded = piped("encode", (recording_48k / "own.wav").read_bytes(), *words)
    assert coded == (recording_48k / "own.arvq").read_bytes()
    decoded = tmp_path / "decoded.wav"
    decoded.write_bytes(piped("decode", coded, *words, "--start", "3.9", "--rate", "32000"))
    about = info(decoded)
    assert (about.channels, about.sample_rate_hz, about.length) == (4, 32_000, 128_001 - round(3.9 * 32_000))


def test_a_scene_of_too_low_an_order_is_refused_with_what_is_possible(run_codec, coded_files, tmp_path):
    write_scene(tmp_path / "w.wav", Scene(np.zeros((1, 5000), np.float32), 48_000))
    with pytest.raises(InputError, match="1 channels, the model codes 4 or a scene of higher order than 1"):
        run_codec("encode", tmp_path / "w.wav", "-o", tmp_path / "w.arvq", "--model",
                  coded_files / "model.safetensors")  # fmt: skip
    assert not (tmp_path / "w.arvq").exists()


def test_a_rate_chooses_the_codebooks(run_codec, coded_files, tmp_path):
    model, source = ("--model", coded_files / "model.safetensors"), coded_files / "scene.wav"
    run_codec("encode", source, "-o", tmp_path / "two.arvq", "--codebooks", 2, *model)
    size = (tmp_path / "two.arvq").stat().st_size
    kbps = 8 * size / 10 / 1000
    run_codec("encode", source, "-o", tmp_path / "rate.arvq", "--kbps", kbps + 1e-6, *model)
    assert (tmp_path / "rate.arvq").read_bytes() == (tmp_path / "two.arvq").read_bytes()
    run_codec("truncate", coded_files / "x.arvq", "-o", tmp_path / "cut.arvq", "--kbps", kbps + 1e-6)
    assert (tmp_path / "cut.arvq").read_bytes() == (tmp_path / "two.arvq").read_bytes()
    with pytest.raises(InputError, match=r"no rate up to 0\.1 kbit/s can be reached; there are .*\(1\)"):
        run_codec("encode", source, "-o", tmp_path / "none.arvq", "--kbps", 0.1, *model)
    assert not (tmp_path / "none.arvq").exists()
