"""Figure 1: the numbers of made-up runs by closed forms, and the whole command on a tiny model."""

import csv
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from codec import figure1
from codec.figures.training_curves import read_curve
from codec.training.config import load_preset
from render.common.errors import InputError
from render.common.files import read_json, write_json
from render.fileio.audio_file import writer

TINY = """
[model]
channels = {channels}
encoder_dim = 2
decoder_dim = 16
strides = [2, 4]
latent_dim = 8
codebooks = 2
codebook_size = 16
codebook_dim = 4
dilations = [1]

[train]
initialisation = "{start}"
steps = 4
batch = 1
excerpt_frames = 2048
learning_rate = 1e-3
validate_every = 2
checkpoint_every = 2
{more}
"""


def metrics(folder, steps, mel):
    folder.mkdir(parents=True)
    rows = [
        f"{step},{value},{99 - value}" if value else f"{step},,5" for step, value in zip(steps, mel, strict=True)
    ]
    (folder / "metrics.csv").write_text("\n".join(["step,val_mel,mel", *rows]) + "\n")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Made-up runs of two seeds: random falls as 2 + 1000/step ± 0.5, transfer as 2 + 500/step ± 0.1."""
    monkeypatch.chdir(tmp_path)
    steps = np.arange(100, 1100, 100)
    for kind, height, spread in (("random", 1000, 0.5), ("transfer", 500, 0.1)):
        for seed, sign in ((1, 1), (2, -1)):
            mel = 2 + height / steps + sign * spread
            metrics(tmp_path / f"runs/f-{kind}-{seed}", [50, *steps], [None, *mel])
    model = {"channels": 16, "sample_rate_hz": 44_100}
    train = {"steps": 1000, "batch": 2, "excerpt_frames": 4410, "weights": {"mel": 15.0, "covariance": 0.0}}
    record = {
        "mono": "made up",
        "material": "8 synthetic scenes",
        "parameters": 1234,
        "seeds": [1, 2],
        "settings": {"model": model, "train": train},
    }
    write_json(tmp_path / "runs/f.json", record)
    return tmp_path


@pytest.fixture
def type_in(monkeypatch):
    def typed(*options):
        monkeypatch.setattr(sys, "argv", ["codec.figure1", *map(str, options)])
        figure1.main()

    return typed


def test_numbers_of_known_curves(runs, type_in, capsys):
    type_in("--draw", "-o", "figures/f")
    found = read_json(runs / "figures/f.json")
    # 2 + 1000/1000 at the end, 2 + 1000/800 at 4/5: 3.25 to 3, which is 7.69 %
    assert found["random"] == {
        "steps": 1000, "mel": 3.0, "mel_of_seed": {"1": 3.5, "2": 2.5}, "change_over_last_fifth_percent": 7.69,
    }  # fmt: skip
    assert found["transfer"]["mel"] == 2.5
    assert found["transfer"]["change_over_last_fifth_percent"] == pytest.approx(100 * 0.125 / 2.625, abs=0.01)
    assert not found["settled"]
    assert found["transfer_needs_steps"] == 500  # 2 + 500/500 = 3
    said = capsys.readouterr().out
    assert "not settled yet" in said
    assert "16 channels, 1,234 parameters. Losses: mel 15. A step: 2 x 0.1 s." in said
    with open(runs / "figures/f.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert rows[0] == {"initialisation": "random", "seed": "1", "step": "100", "val_mel": "12.5"}
    for form, begin in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")):
        assert (runs / f"figures/f.{form}").read_bytes().startswith(begin)
    type_in("--draw", "-o", "figures/f")  # the same bytes again


def test_a_figure_for_a_column_of_a_paper(runs, type_in):
    type_in("--draw", "-o", "figures/f", "--width", "89mm", "--no-caption")
    with Image.open(runs / "figures/f.png") as picture:
        assert picture.width == int(89 / 25.4 * 200)
    drawn = (runs / "figures/f.svg").read_text(encoding="utf-8")
    assert "8 synthetic scenes" not in drawn
    assert "8 synthetic scenes" in (runs / "figures/f.txt").read_text(encoding="utf-8")


def test_partial_and_missing_runs(runs, type_in):
    (runs / "runs/f-random-2/metrics.csv").unlink()
    type_in("--draw", "-o", "figures/f")
    assert read_json(runs / "figures/f.json")["random"]["mel_of_seed"] == {"1": 3.5}
    (runs / "runs/f-random-1/metrics.csv").write_text("step,val_mel\n")
    with pytest.raises(InputError, match=r"no validation of random yet"):
        type_in("--draw", "-o", "figures/f")
    (runs / "runs/f-random-1/metrics.csv").write_text("step,mel\n1,2\n")
    with pytest.raises(InputError, match=r"f-random-1/metrics.csv: not the table of a training run"):
        type_in("--draw", "-o", "figures/f")
    with pytest.raises(InputError, match=r"nothing.json: no such file: there are no runs to draw"):
        type_in("--draw", "-o", "figures/nothing")
    with pytest.raises(InputError, match=r"--data DIR is needed"):
        type_in("-o", "figures/f")


def test_the_whole_command_and_again(tmp_path, monkeypatch, type_in):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in (1, 8):
        with writer(tmp_path / f"data/Beach.{number}.wav", 4, 44_100, "PCM_16") as file:
            file.write(0.1 * random.standard_normal((4, 9000)).astype(np.float32))
    weights = "weights = { mel = 15.0, covariance = 1.0 }\nbalance = false"
    tiny = TINY.format(channels=4, start="default", more=weights)
    (tmp_path / "tiny.toml").write_text(tiny)
    mono = "weights = { mel = 1.0 }\nquantizer_start = 2\nfit_batches = 2\nturn = false"
    (tmp_path / "tiny-mono.toml").write_text(TINY.format(channels=1, start="pca", more=mono))
    words = ("--data", "data", "--preset", "tiny.toml", "-o", "figures/tiny")
    type_in(*words, "--seeds", 3)
    found = read_json(tmp_path / "figures/tiny.json")
    assert found["material"] == "2 files of unknown origin; 1 of them held out for validation"
    for kind in ("random", "transfer"):
        curve = read_curve(tmp_path / f"runs/tiny-{kind}-3/metrics.csv", kind, 3)
        assert curve.steps.tolist() == [2, 4]
        assert found[kind]["mel_of_seed"]["3"] == pytest.approx(curve.mel[-1], abs=1e-4)
    _, config = load_preset(str(tmp_path / "runs/tiny-transfer-3/config.toml"))
    assert (config.initialisation, config.seed) == ("transfer:runs/tiny-mono/model.safetensors", 3)
    # channel 0, sample by sample
    recording = (tmp_path / "data/Beach.1.wav").read_bytes()[-8 * 9000 :]
    first = (tmp_path / "runs/tiny-mono/material/0-data/Beach.1.wav").read_bytes()[-2 * 9000 :]
    assert np.array_equal(np.frombuffer(first, "<i2"), np.frombuffer(recording, "<i2")[::4])

    # what is finished is not trained again, what was interrupted is continued to the same end
    interrupted = tmp_path / "runs/tiny-transfer-3"
    shutil.rmtree(interrupted / "checkpoints/0000004")
    finished = [path for path in tmp_path.glob("runs/*/metrics.csv") if path.parent != interrupted]
    before = [path.stat().st_mtime_ns for path in finished]
    type_in(*words, "--seeds", 3)
    assert (interrupted / "checkpoints/0000004").is_dir()
    assert before == [path.stat().st_mtime_ns for path in finished]
    assert (
        read_json(tmp_path / "figures/tiny.json") == found
    )  # nor would another figure be replaced without --force

    # a mono model of one's own does not go with these runs, but with others
    own = tmp_path / "runs/tiny-mono/model.safetensors"
    with pytest.raises(InputError, match=r"made with other settings \(mono\); choose another -o"):
        type_in(*words, "--mono", own)
    with pytest.raises(InputError, match=r"made with other settings \(mono, train\)"):
        type_in(*words, "--steps", 6)
    type_in(*words[:-1], "figures/own", "--mono", own, "--seeds", 3, "--steps", 2)
    assert "model.safetensors, " in read_json(tmp_path / "figures/own.json")["mono"]
