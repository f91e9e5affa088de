"""What the codec's tests share: a small network with random weights, noise to train on, the training command."""

import importlib
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch._dynamo  # optimisers import it late, which would take each process that trains 1 s

from codec.checkpoints.model_file import save
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.fileio.audio_file import write_scene, writer
from render.hoa.scene import Scene


def random_codec(**config):
    torch.manual_seed(0)
    sizes = dict(
        channels=4, encoder_dim=4, decoder_dim=32, latent_dim=8, codebooks=4, codebook_size=64, dilations=(1, 3)
    )
    return RVQGAN(ModelConfig(**(sizes | config))).fold_weight_norm().eval().requires_grad_(False)


@pytest.fixture(scope="session")
def model():
    """Without side information, as the paper's."""
    return random_codec()


@pytest.fixture(scope="session")
def side_info_model():
    """With side information, as the shipped one."""
    return random_codec(side_layers=True)


@pytest.fixture(scope="session")
def codec_of():
    """Makes a codec of any configuration."""
    return random_codec


@pytest.fixture(scope="session")
def run_codec():
    """Run a command of the codec as it is typed: its name, then its words."""

    def run(name, *words):
        before, sys.argv = sys.argv, [f"codec.{name}", *map(str, words)]
        try:
            importlib.import_module(f"codec.{name}").main()
        finally:
            sys.argv = before

    return run


@pytest.fixture
def piped(run_codec, monkeypatch):
    """Run a command of the codec with bytes on standard input; returns those on standard output."""

    def run(name, data, *words):
        output = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        monkeypatch.setattr(
            sys, "stdout", SimpleNamespace(buffer=output, flush=lambda: None, write=lambda text: 0)
        )
        run_codec(name, *words)
        return output.getvalue()

    return run


@pytest.fixture(scope="session")
def coded_files(run_codec, side_info_model, tmp_path_factory):
    """Folder with a model, a scene of 10 s, its stream x.arvq and its decoding x.wav."""
    folder = tmp_path_factory.mktemp("codec")
    save(folder / "model.safetensors", side_info_model, {"trained_on": "nothing"})
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 441_000))
    write_scene(folder / "scene.wav", Scene(samples.astype(np.float32), 44_100))
    model = ("--model", folder / "model.safetensors")
    run_codec("encode", folder / "scene.wav", "-o", folder / "x.arvq", *model)
    run_codec("decode", folder / "x.arvq", "-o", folder / "x.wav", *model)
    return folder


TINY = """
[model]
channels = 4
encoder_dim = 2
decoder_dim = 16
strides = [2, 4]
latent_dim = 8
codebooks = 3
codebook_size = 16
codebook_dim = 4
dilations = [1]

[discriminator]
periods = [2]
fft_sizes = [128]
bands = [[0.0, 0.5], [0.5, 1.0]]
period_width = 1
spectrum_width = 2

[train]
steps = 8
batch = 2
excerpt_frames = 2048
warmup_steps = 0
decay_share = 0.0
quantizer_start = 2
fit_batches = 2
adversarial_start = 3
mel_channels = 3
mel_scales = 2
weights = { mel = 1.0, covariance = 1.0, intensity = 0.5, adversarial = 0.5, feature = 0.5 }
ema = 0.9
revive_every = 4
log_every = 1
validate_every = 4
checkpoint_every = 4
"""


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """Folders of recordings 1 and 8 of two classes, brown noise with a little white, by number of channels."""
    made = {}

    def of(channels):
        if channels in made:
            return made[channels]
        folder = made[channels] = tmp_path_factory.mktemp(f"recordings-{channels}")
        random = np.random.default_rng(0)
        for scene_class in ("Beach", "Park"):
            for number in (1, 8):
                noise = random.standard_normal((channels, 26_460))
                smooth = np.cumsum(noise - noise.mean(1, keepdims=True), axis=1)
                samples = (0.2 * smooth / np.abs(smooth).max() + 0.001 * noise).astype(np.float32)
                path = folder / f"{scene_class}.{number}.wav"
                with writer(path, channels, 44_100, "PCM_16") as file:
                    file.write(samples)
        return folder

    return of


@pytest.fixture
def type_in(tmp_path, monkeypatch):
    """Run codec.train with command-line options in an empty folder with a preset of a tiny model, tiny.toml."""
    from codec import train

    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["codec.train", *map(str, options)])
        train.main()

    return run


@pytest.fixture
def publish_run(monkeypatch):
    """Run codec.publish with command-line options."""
    from codec import publish

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["codec.publish", *map(str, options)])
        publish.main()

    return run
