"""encode, truncate, inspect, decode and profile as they are typed."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codec import decode, encode, inspect, profile, truncate
from codec.bitstream import inspection
from codec.bitstream.format import CorruptStream
from codec.checkpoints.model_file import save
from codec.coding import complexity
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.fileio.audio_file import read, write_scene
from render.hoa.scene import Scene

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(layered_model, tmp_path_factory):
    """A model, a scene of 10 s, its stream and its decoding."""
    folder = tmp_path_factory.mktemp("codec")
    save(folder / "model.safetensors", layered_model, {"trained_on": "nothing"})
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 441_000))
    write_scene(folder / "scene.wav", Scene(samples.astype(np.float32), 44_100))
    type_in(encode, folder / "scene.wav", "-o", folder / "x.arvq", "--model", folder / "model.safetensors")
    type_in(decode, folder / "x.arvq", "-o", folder / "x.wav", "--model", folder / "model.safetensors")
    return folder


def type_in(module, *words):
    before, sys.argv = sys.argv, ["python -m ...", *map(str, words)]
    try:
        module.main()
    finally:
        sys.argv = before


def test_a_truncated_file_is_the_file_that_fewer_codebooks_make(files, tmp_path):
    model = ("--model", files / "model.safetensors")
    for codebooks in (1, 3):
        type_in(truncate, files / "x.arvq", "--codebooks", codebooks, "-o", tmp_path / f"cut{codebooks}.arvq")
        type_in(
            encode, files / "scene.wav", "--codebooks", codebooks, "-o", tmp_path / "few.arvq", *model, "--force"
        )
        assert (tmp_path / f"cut{codebooks}.arvq").read_bytes() == (tmp_path / "few.arvq").read_bytes()
    type_in(truncate, tmp_path / "cut3.arvq", "--codebooks", 1, "-o", tmp_path / "twice.arvq")
    assert (tmp_path / "twice.arvq").read_bytes() == (tmp_path / "cut1.arvq").read_bytes()
    with pytest.raises(InputError, match="has 3 codebooks, 4 cannot stay"):
        type_in(truncate, tmp_path / "cut3.arvq", "--codebooks", 4, "-o", tmp_path / "more.arvq")


def test_a_part_of_a_file(files, tmp_path):
    model = ("--model", files / "model.safetensors")
    type_in(decode, files / "x.arvq", "-o", tmp_path / "part.wav", "--start", 4.25, "--seconds", 0.5, *model)
    whole, part = read(files / "x.wav")[0], read(tmp_path / "part.wav")[0]
    start = round(4.25 * 44_100)
    assert np.array_equal(part, whole[:, start : start + 22_050])
    with pytest.raises(InputError, match=r"the file lasts 10\.000 s"):
        type_in(decode, files / "x.arvq", "-o", tmp_path / "none.wav", "--start", 11, *model)
    for words in (["--start", "nan"], ["--start", "1e308"], ["--start", 10], ["--start", 1, "--seconds", "nan"]):
        with pytest.raises(InputError, match="no samples from"):
            type_in(decode, files / "x.arvq", "-o", tmp_path / "none.wav", *words, *model)
    type_in(decode, files / "x.arvq", "-o", tmp_path / "end.wav", "--start", 9.9, "--seconds", "inf", *model)
    assert np.array_equal(read(tmp_path / "end.wav")[0], whole[:, round(9.9 * 44_100) :])


def test_no_command_replaces_its_own_input(files, tmp_path):
    (tmp_path / "scene.wav").write_bytes((files / "scene.wav").read_bytes())
    model = ("--model", files / "model.safetensors")
    with pytest.raises(InputError, match="is the input"):
        type_in(encode, tmp_path / "scene.wav", "-o", tmp_path / "scene.wav", "--force", *model)


def test_damage_is_refused_or_concealed(files, tmp_path, capsys):
    data = bytearray((files / "x.arvq").read_bytes())
    data[len(data) // 2] ^= 64
    (tmp_path / "bad.arvq").write_bytes(data)
    model = ("--model", files / "model.safetensors")
    with pytest.raises(CorruptStream, match=r"bad\.arvq: packet 1 at byte .* is damaged"):
        type_in(decode, tmp_path / "bad.arvq", "-o", tmp_path / "bad.wav", *model)
    assert not (tmp_path / "bad.wav").exists()
    type_in(decode, tmp_path / "bad.arvq", "-o", tmp_path / "bad.wav", "--conceal", *model)
    assert "packet 1 (2.97 to 5.94 s) is damaged and was concealed" in capsys.readouterr().err
    assert read(tmp_path / "bad.wav")[0].shape == (4, 441_000)


def test_inspect_tells_where_the_bits_go(files, capsys):
    type_in(inspect, files / "x.arvq", "--json")
    found = json.loads(capsys.readouterr().out)[0]
    size = (files / "x.arvq").stat().st_size
    assert found["bytes"] == size
    assert found["kbps"] == pytest.approx(8 * size / 10 / 1000)
    padding = found["kbps"] - sum(found["kbps_of"].values())
    assert 0 <= padding <= 7 * found["packets"] / 10 / 1000
    assert found["damaged_packets"] == []
    assert found["layout"] == "ambiX"
    type_in(inspect, files / "x.arvq")
    assert "ambiX, order 1, ACN/SN3D" in capsys.readouterr().out


def test_entropy_is_that_of_the_codes(files):
    from codec.bitstream.file import read_header, read_packets

    data = io.BytesIO((files / "x.arvq").read_bytes())
    codes = np.concatenate([p.codes for p in read_packets(data, read_header(data, "x"), "x")], axis=1)[0]
    share = np.bincount(codes) / len(codes)
    expected = -sum(p * np.log2(p) for p in share if p)
    assert inspection.inspect(files / "x.arvq", "x")["entropy_bits"][0] == pytest.approx(expected)


def test_several_files_go_into_a_folder(files, tmp_path):
    (tmp_path / "b.wav").write_bytes((files / "scene.wav").read_bytes())
    model = ("--model", files / "model.safetensors")
    type_in(encode, files / "scene.wav", tmp_path / "b.wav", "-o", tmp_path / "coded", *model)
    assert (tmp_path / "coded" / "b.arvq").read_bytes() == (files / "x.arvq").read_bytes()
    with pytest.raises(InputError, match="need a folder"):
        type_in(encode, files / "scene.wav", tmp_path / "b.wav", "-o", tmp_path / "one.arvq", *model)


def test_pipes_and_threads_change_nothing(files):
    """The whole way through standard input and output, with another number of threads, in other processes."""
    model = ["--model", str(files / "model.safetensors")]
    environment = os.environ | {f"{library}_NUM_THREADS": "3" for library in ("OMP", "OPENBLAS", "MKL")}

    def piped(verb, data):
        words = [sys.executable, "-m", f"codec.{verb}", "-", "-o", "-", *model]
        return subprocess.run(words, input=data, capture_output=True, cwd=ROOT, env=environment, check=True).stdout

    coded = piped("encode", (files / "scene.wav").read_bytes())
    assert coded == (files / "x.arvq").read_bytes()
    assert piped("decode", coded) == (files / "x.wav").read_bytes()


def test_operations_are_those_of_the_reference():
    """GMAC per second of audio as counted in the modules of the stock package, see docs/codec.md."""
    ours = complexity.macs_per_second(ModelConfig())
    assert ours["encoder"] == pytest.approx(30.696e9, rel=1e-4)
    assert ours["decoder"] == pytest.approx(68.872e9, rel=1e-4)
    mono = complexity.macs_per_second(ModelConfig(channels=1))
    assert mono["encoder"] == pytest.approx(30.400e9, rel=1e-4)
    assert mono["decoder"] == pytest.approx(68.428e9, rel=1e-4)


def test_profile_measures(files, capsys):
    type_in(profile, "--model", files / "model.safetensors", "--seconds", 1, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] > 0
    assert found["encode_s_per_s"] > 0
    assert found["latency_s"] > 256 * 512 / 44_100  # side layers wait for their packet
    type_in(profile, "--model", files / "model.safetensors", "--seconds", 0.5)
    assert "4 x published mono" in capsys.readouterr().out
