"""The training command: it runs, resumes bitwise, and its gradients are weighted as promised."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from codec import checkpoint, train
from codec.data import Excerpts, level_gain
from codec.model import Codec, ModelConfig
from codec.transfer import transfer
from codec.weights import read
from render.audio_file import write_scene, writer
from render.errors import InputError
from render.scene import Scene


def corpus(folder, numbers=(1, 8), seconds=1.5):
    random = np.random.default_rng(0)
    for scene_class in ("Beach", "Park"):
        for number in numbers:
            noise = random.standard_normal((16, round(44_100 * seconds)))
            smooth = np.cumsum(noise - noise.mean(1, keepdims=True), axis=1)
            samples = 0.2 * smooth / np.abs(smooth).max() + 0.001 * noise
            scene = Scene(samples.astype(np.float32), 44_100)
            write_scene(folder / f"{scene_class}.{number}.wav", scene, "PCM_16")
    return folder


@pytest.fixture
def type_in(tmp_path, monkeypatch):
    """The command as it is typed, in a folder with a corpus."""
    corpus(tmp_path / "data", seconds=0.6)
    monkeypatch.chdir(tmp_path)

    def run(*options):
        words = ["codec.train", "--preset", "smoke", "--data", "data", *options]
        monkeypatch.setattr(sys, "argv", words)
        train.main()

    return run


def test_interrupted_training_ends_in_the_same_bits(tmp_path, type_in):
    type_in("--run", "whole")
    type_in("--run", "parts", "--steps", "20", "--until", "10")
    type_in("--run", "parts", "--resume")
    ends = [tmp_path / "runs" / run / "checkpoints" / "0000020" for run in ("whole", "parts")]
    for name in ("model", "optimizer", "trainer"):
        a, b = (load_file(end / f"{name}.safetensors") for end in ends)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    rows = [(tmp_path / "runs" / run / "metrics.csv").read_text().splitlines() for run in ("whole", "parts")]
    assert [r.split(",")[0] for r in rows[0]] == ["step", "10", "20"]
    skip = rows[0][0].split(",").index("seconds_per_step")
    values = [[c for i, c in enumerate(r.split(",")) if i != skip] for r in rows[0]]
    assert values == [[c for i, c in enumerate(r.split(",")) if i != skip] for r in rows[1]]


def test_command_line_refusals(tmp_path, type_in):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    with pytest.raises(InputError, match="use --resume"):
        type_in("--run", "taken")
    with pytest.raises(InputError, match="known are"):
        train.load_preset("nonsense")
    typo = tmp_path / "typo.toml"
    typo.write_text("[train]\nstepz = 3\n")
    with pytest.raises(InputError, match="no \\['stepz'\\]"):
        train.load_preset(str(typo))


def test_every_preset_can_be_read():
    presets = sorted(path.stem for path in (Path(train.__file__).parent / "presets").glob("*.toml"))
    assert {"small", "smoke", "published44", "paper"} <= set(presets)
    for name in presets:
        model_config, config = train.load_preset(name)
        assert config.steps > 0
        assert model_config.hop == 512


def test_batches_are_a_function_of_seed_and_step(tmp_path):
    corpus(tmp_path)
    paths = sorted(tmp_path.glob("*.wav"))

    def excerpts(seed=1, turn=True):
        return Excerpts(paths, 2048, 16, 44_100, level_dbfs=-24.0, turn=turn, seed=seed)

    assert torch.equal(excerpts().batch(7, 3), excerpts().batch(7, 3))
    assert not torch.equal(excerpts().batch(7, 3), excerpts().batch(8, 3))
    assert not torch.equal(excerpts().batch(7, 3), excerpts(seed=2).batch(7, 3))
    # turning and mirroring keep the energy of every order
    plain, turned = excerpts(turn=False), excerpts()
    for step in range(3):
        x, y = turned.batch(step, 2), turned.batch(step, 2)
        assert torch.equal(x, y)
    assert plain.gains == [level_gain(path, -24.0) for path in paths]


def test_level_gain_brings_channel_0_to_the_level(tmp_path):
    samples = np.zeros((16, 44_100), np.float32)
    samples[0] = 0.01 * np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100)
    write_scene(tmp_path / "s.wav", Scene(samples, 44_100))
    expected = 10 ** (-24 / 20) / (0.01 / np.sqrt(2))
    assert level_gain(tmp_path / "s.wav", -24.0) == pytest.approx(expected, rel=1e-4)


def test_balanced_gradients_have_the_norms_of_their_weights():
    """One loss: the gradient has norm `weight`; without weight nothing is computed."""
    from dataclasses import replace

    _, config = train.load_preset("smoke")
    random = np.random.default_rng(0)
    x = torch.from_numpy(0.1 * random.standard_normal((2, 16, 4096)).astype(np.float32))
    y = x + 0.05 * torch.randn_like(x)
    for weights in ({"mel": 2.0}, {"covariance": 0.5}, {"waveform": 3.0}, {"band_covariance": 1.0}):
        one = replace(config, weights=weights, balance=True)
        values, gradient = train.reconstruction_gradient(x, y, 44_100, one, random, {})
        assert list(values) == list(weights)
        assert gradient.norm().item() == pytest.approx(next(iter(weights.values())), rel=1e-4)
    loose = replace(config, weights={"waveform": 3.0}, balance=False)
    values, gradient = train.reconstruction_gradient(x, y, 44_100, loose, random, {})
    y.requires_grad_()
    from codec.losses import waveform_distance

    (3.0 * waveform_distance(x, y)).backward()
    torch.testing.assert_close(gradient, y.grad)


def test_schedule():
    from dataclasses import replace

    _, config = train.load_preset("small")
    config = replace(config, steps=1000, warmup_steps=10, decay_share=0.25, learning_rate=1.0)
    rates = [train.learning_rate(config, step) for step in (0, 9, 500, 750, 875, 999)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.53, 0.034])


def tiny_training(tmp_path, **settings):
    """Two steps of a tiny stereo model; returns its newest checkpoint."""
    random = np.random.default_rng(0)
    for number in (1, 8):
        noise = 0.1 * random.standard_normal((2, 30_000)).astype(np.float32)
        with writer(tmp_path / f"Beach.{number}.wav", 2, 44_100, "PCM_16", force=True) as file:
            file.write(noise)
    model = ModelConfig(
        channels=2, encoder_dim=4, decoder_dim=16, strides=(2, 4), latent_dim=8, codebooks=4, codebook_size=32,
        codebook_dim=4,
    )  # fmt: skip
    config = train.TrainConfig(
        steps=2, batch=1, excerpt_frames=4096, turn=False, weights={"waveform": 1.0}, balance=False, **settings
    )
    train.train(model, config, [tmp_path], tmp_path / "run", False, 2)
    return checkpoint.load(tmp_path / "run" / "checkpoints" / "0000002")[0]["model"]


def test_training_can_start_from_transferred_weights_and_leave_dead_codes_alone(tmp_path):
    """Two steps at a rate of 1e-9 move nothing: what is there is the mono checkpoint, repeated."""
    mono = Path(__file__).parents[1] / "golden" / "dac" / "mono.pth"
    start = f"transfer:{mono}"
    state = tiny_training(tmp_path, initialisation=start, revive_every=0, learning_rate=1e-9)
    expected = transfer(read(mono), 2)
    model = Codec(expected.config)
    model.load_state_dict(state)
    for name, tensor in model.fold_weight_norm().state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_an_unknown_initialisation_is_refused(tmp_path):
    with pytest.raises(InputError, match="initialisation = 'magic'; known are pca, default and transfer:FILE"):
        tiny_training(tmp_path, initialisation="magic")
    with pytest.raises(InputError, match="no such file"):
        tiny_training(tmp_path, initialisation="transfer:nowhere.safetensors")
