"""A container whose installation and home folder are read-only: a test is built in it all the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from codec.checkpoints.model_file import save
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.fileio.audio_file import writer

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "codec", "hoa", "listening", "render", "stimuli")


@pytest.fixture
def installation(tmp_path):
    """The packages in a place where nothing can be added: files stand where Python's and Numba's folders would."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        for folder in (tmp_path / package, *(tmp_path / package).rglob("*/")):
            if folder.is_dir():
                (folder / "__pycache__").touch()
    return tmp_path


@pytest.mark.slow
def test_a_test_is_built(installation):
    """Numba finds out where it may keep functions when it meets them: those of the codec at its import.

    So a model of a few layers without side information suffices: it compiles half as many. The loudness, whose
    function is met when it is first measured, is part of the build.
    """
    orders = np.floor(np.sqrt(np.arange(16)))
    noise = np.random.default_rng(1).standard_normal((16, 44_100)) / np.sqrt(2 * orders + 1)[:, None]
    with writer(installation / "hall.wav", 16, 44_100, "PCM_16") as file:
        file.write(0.1 * noise.astype(np.float32))
    torch.manual_seed(0)
    tiny = ModelConfig(encoder_dim=2, decoder_dim=16, latent_dim=8, codebooks=2, dilations=())
    model = RVQGAN(tiny).fold_weight_norm()
    with torch.no_grad():  # random weights are loud, and the quality gate refuses an offset
        for parameter in list(model.decoder.parameters())[-2:]:
            parameter.mul_(0.01)
    save(installation / "tiny.safetensors", model, {"what": "random weights"})
    (installation / "plan.toml").write_text('conditions = ["href", "la", "prop"]\nseconds = 1.0\n')
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache", "PYTHONPATH": str(installation)}
    words = ("listening.build", "--plan", "plan.toml", "--input", "hall.wav", "-o", "out")
    words += ("--model", "tiny.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=installation, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (installation / "out/scenes/hall").glob("*.w64")} == {
        "href.w64", "la.w64", "prop.w64",
    }  # fmt: skip
