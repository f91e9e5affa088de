"""codec.decode as it is typed."""

import numpy as np
import pytest

from codec.bitstream.format import CorruptStream
from render.common.errors import InputError
from render.fileio.audio_file import read


def test_a_part_of_a_file(run_codec, coded_files, tmp_path):
    model = ("--model", coded_files / "model.safetensors")
    run_codec(
        "decode", coded_files / "x.arvq", "-o", tmp_path / "part.wav", "--start", 4.25, "--seconds", 0.5, *model
    )
    whole, part = read(coded_files / "x.wav")[0], read(tmp_path / "part.wav")[0]
    start = round(4.25 * 44_100)
    assert np.array_equal(part, whole[:, start : start + 22_050])
    with pytest.raises(InputError, match=r"the file lasts 10\.000 s"):
        run_codec("decode", coded_files / "x.arvq", "-o", tmp_path / "none.wav", "--start", 11, *model)
    for words in (["--start", "nan"], ["--start", "1e308"], ["--start", 10], ["--start", 1, "--seconds", "nan"]):
        with pytest.raises(InputError, match="no samples from"):
            run_codec("decode", coded_files / "x.arvq", "-o", tmp_path / "none.wav", *words, *model)
    run_codec(
        "decode", coded_files / "x.arvq", "-o", tmp_path / "end.wav", "--start", 9.9, "--seconds", "inf", *model
    )
    assert np.array_equal(read(tmp_path / "end.wav")[0], whole[:, round(9.9 * 44_100) :])


def test_damage_is_refused_or_concealed(run_codec, coded_files, tmp_path, capsys):
    data = bytearray((coded_files / "x.arvq").read_bytes())
    data[len(data) // 2] ^= 64
    (tmp_path / "bad.arvq").write_bytes(data)
    model = ("--model", coded_files / "model.safetensors")
    with pytest.raises(CorruptStream, match=r"bad\.arvq: packet 1 at byte .* is damaged"):
        run_codec("decode", tmp_path / "bad.arvq", "-o", tmp_path / "bad.wav", *model)
    assert not (tmp_path / "bad.wav").exists()
    run_codec("decode", tmp_path / "bad.arvq", "-o", tmp_path / "bad.wav", "--conceal", *model)
    assert "packet 1 (2.97 to 5.94 s) is damaged and was concealed" in capsys.readouterr().err
    assert read(tmp_path / "bad.wav")[0].shape == (4, 441_000)
