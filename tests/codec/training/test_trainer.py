"""The training loop: its golden curve, its schedule, and what can interrupt it: kill -9, signals, full disks."""

import csv
import errno
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from codec.checkpoints.channel_transfer import transfer
from codec.descript.conversion import read_model
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training import checkpoint
from codec.training.config import TrainConfig, load_preset
from codec.training.distributed import Processes, require_compiler
from codec.training.export import newest_model
from codec.training.metrics import Metrics
from codec.training.run_folder import Run, locked
from codec.training.trainer import learning_rate, prepare, train
from codec.training.validation import ValidationSet, validate
from render.common.errors import InputError
from render.fileio.audio_file import writer

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"


def table(run):
    """metrics.csv without the third column, which measures time."""
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    assert rows[0][2] == "seconds_per_step"
    return [row[:2] + row[3:] for row in rows]


def end(run, step):
    groups, _ = checkpoint.load(run / "checkpoints" / f"{step:07d}")
    return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def assert_same_end(a, b, step):
    one, other = end(a, step), end(b, step)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert table(a) == table(b)


def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path, type_in, material, background):
    """SIGKILL between checkpoints; beside it a folder that a killed process left while writing one.

    Each part runs in its own process: threads and libraries left by other tests would change the last bits.
    """
    tiny = ("--preset", "tiny.toml", "--data", material(4), "--steps", 24)
    process, whole = (background("codec.train", *tiny, "--run", name) for name in ("killed", "whole"))
    killed = tmp_path / "runs" / "killed"
    deadline = time.monotonic() + 120
    while not checkpoint.steps(killed / "checkpoints"):
        assert process.runs(), process.wait()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = checkpoint.steps(killed / "checkpoints")
    assert 4 <= steps[-1] < 24
    half = killed / "checkpoints" / ".0000024.part"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    with open(killed / "metrics.csv", "a") as file:
        file.write("23,1e-4,0.1")  # a row that a full disk cut off
    for each in (background("codec.train", "--run", "killed", "--resume"), whole):
        done = each.wait()
        assert done.returncode == 0, done.stderr
    assert_same_end(tmp_path / "runs" / "whole", killed, 24)
    assert not half.exists()
    assert len(list((killed / "checkpoints").glob("0*"))) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step_and_saves(tmp_path, type_in, material, monkeypatch, capsys, number):
    counted = Metrics.add

    def add(self, step, values):
        if step == 3 and self.path.parent.name == "stopped":
            signal.raise_signal(number)
        counted(self, step, values)

    monkeypatch.setattr(Metrics, "add", add)
    tiny = ("--preset", "tiny.toml", "--data", material(4), "--steps", 6)
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        type_in(*tiny, "--run", "stopped")
    assert stopped.value.code == 130
    assert signal.getsignal(number) == handler
    assert "interrupted: runs/stopped is saved at step 3 and can be resumed there" in capsys.readouterr().out
    run = tmp_path / "runs" / "stopped"
    assert checkpoint.steps(run / "checkpoints") == [3]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["codec.train"])
    type_in("--run", "stopped", "--resume")
    type_in(*tiny, "--run", "whole")
    assert_same_end(tmp_path / "runs" / "whole", run, 6)


@pytest.mark.parametrize("how", ["file size limit", "full disk"])
def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path, type_in, material, monkeypatch, how):
    tiny = ("--preset", "tiny.toml", "--data", material(4))
    type_in(*tiny, "--run", "r", "--until", 4)
    run = tmp_path / "runs" / "r"
    before = end(run, 4)
    size = (run / "checkpoints" / "0000004" / "model.safetensors").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    synced = os.fsync

    def full(descriptor):
        if "checkpoints" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    try:
        if how == "full disk":
            monkeypatch.setattr(os, "fsync", full)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
        with pytest.raises(
            InputError, match=r"0000008: the checkpoint cannot be written .*; the one of step 4 is"
        ):
            type_in("--run", "r", "--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        monkeypatch.setattr(os, "fsync", synced)
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"0000004", "best-0000004"}
    after = end(run, 4)
    assert all(torch.equal(before[name], after[name]) for name in before)
    type_in("--run", "r", "--resume")
    assert checkpoint.steps(run / "checkpoints") == [4, 8]


def test_a_run_is_not_resumed_with_other_settings(tmp_path, type_in, material):
    tiny = ("--preset", "tiny.toml", "--data", material(4))
    type_in(*tiny, "--run", "r", "--steps", 4, "--until", 2)
    config = (tmp_path / "runs/r/config.toml").read_text()
    with pytest.raises(InputError, match=r"other settings: batch 2 there, 4 here; seed 1 there, 5 here\."):
        type_in("--run", "r", "--resume", "--seed", 5, "--batch", 4)
    with pytest.raises(InputError, match="steps 4 there, 8 here"):
        type_in(*tiny, "--run", "r", "--resume")
    assert (tmp_path / "runs/r/config.toml").read_text() == config
    type_in("--run", "r", "--resume", "--steps", 5)
    assert checkpoint.steps(tmp_path / "runs/r/checkpoints") == [4, 5]


def test_two_commands_cannot_train_one_run(tmp_path, type_in, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--until", 4)
    run = tmp_path / "runs" / "r"
    before = (run / "metrics.csv").read_bytes()
    with (
        locked(run),
        pytest.raises(InputError, match="runs/r: another process is training this run; wait for it, or stop it"),
    ):
        type_in("--run", "r", "--resume")
    assert (run / "metrics.csv").read_bytes() == before
    type_in("--run", "r", "--resume")
    assert checkpoint.steps(run / "checkpoints") == [4, 8]


def test_the_moving_average_is_published(tmp_path, type_in, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--steps", 4)
    state = load_file(tmp_path / "runs/r/checkpoints/0000004/ema.safetensors")
    other = load_file(tmp_path / "runs/r/checkpoints/0000004/model.safetensors")
    model, step, _ = newest_model(tmp_path / "runs" / "r")
    assert step == 4
    name = "encoder.block.0.bias"
    assert torch.equal(model.state_dict()[name], state[name])
    assert not torch.equal(state[name], other[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps = 8", "steps = -8"), "steps = -8; need a whole number, 1 to"),
        (("mel = 1.0", "mell = 1.0"), "did you mean mel"),
        (("periods = [2]", "period = [2]"), "did you mean periods"),
        (("excerpt_frames = 2048", "excerpt_frames = 2047"), "hop 8 and at least 2048: 2048"),
        (("excerpt_frames = 2048", "excerpt_frames = 80000"), "an excerpt needs 80000"),
        (("batch = 2\n", "batch = 3\naccumulate = 2\n"), "batch = 3 cannot be divided among 1 proc"),
        (("adversarial = 0.5, feature = 0.5", "mel = 1.0"), "Cannot overwrite|Duplicate"),
        ((", adversarial = 0.5, feature = 0.5", ""), "\\[discriminator\\] has no effect"),
        (("batch = 2\n", 'batch = 2\nholdout = "Woodland"\n'), "nothing is held out"),
    ],
)  # fmt: skip
def test_invalid_settings_are_refused_before_anything_is_written(tmp_path, type_in, material, change, message):
    text = (tmp_path / "tiny.toml").read_text()
    assert change[0] in text
    (tmp_path / "wrong.toml").write_text(text.replace(*change))
    with pytest.raises(InputError, match=message):
        type_in("--preset", "wrong.toml", "--data", material(4), "--run", "r")
    assert not (tmp_path / "runs").exists()  # the name is free for the next attempt


def two_processes(background, words, by_torchrun):
    """Start a command in two processes: by torchrun, or with its environment, which imports nothing anew."""
    if by_torchrun:
        torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", words[0], "--")
        return [background(*torchrun, *words[1:])]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [background(*words, RANK=rank, LOCAL_RANK=rank, **place) for rank in "01"]


@pytest.mark.parametrize("layers", [False, True])
def test_two_processes_train_what_one_trains(tmp_path, type_in, material, background, layers):
    """gloo, one item each, against both items in one process; without layers by torchrun as the README types it.

    The sums are made in another order, and AdamW's first steps have the size of the rate whatever the gradient; so
    the rate is small. Another draw, a gradient of one process or codes of its own would show in losses and norms.
    """
    text = (tmp_path / "tiny.toml").read_text() + "learning_rate = 2e-6\n"
    if layers:  # each process makes the principal components of half of the recordings
        text = text.replace("channels = 4\n", "channels = 4\nside_layers = true\n").replace(
            "intensity", "waveform"
        )
    (tmp_path / "slow.toml").write_text(text)
    slow = ("codec.train", "--preset", "slow.toml", "--data", material(4), "--run")
    # alone with one thread, too: PCA's weakest components turn with rounding
    alone = background(*slow, "one")
    ends = [each.wait() for each in [*two_processes(background, [*slow, "two"], by_torchrun=not layers), alone]]
    status, out, err = zip(*ends, strict=True)
    assert set(status) == {0}, err
    assert b"".join(out[:-1]).count(b"step 8/8") == 1, out  # only the first process speaks
    one, two = (table(tmp_path / "runs" / name) for name in ("one", "two"))
    assert [row[0] for row in one] == [row[0] for row in two]
    assert len(one) == 9
    for a, b in zip(one[1:], two[1:], strict=True):
        for name, x, y in zip(one[0], a, b, strict=True):
            assert bool(x) == bool(y)
            if x:
                assert float(x) == pytest.approx(float(y), rel=5e-3, abs=5e-3), (a[0], name)
    ends = [end(tmp_path / "runs" / name, 8) for name in ("one", "two")]
    torch.testing.assert_close(ends[0]["trainer.usage"], ends[1]["trainer.usage"], rtol=0, atol=2e-3)


def test_golden_loss_curve(tmp_path, material):
    """20 steps of the smoke preset, from random weights: eigenvectors and k-means depend on the machine."""
    model, config = load_preset("smoke")
    config = replace(config, initialisation="default", quantizer_start=0, revive_every=0, sample_every=0)
    train(Run(tmp_path / "run", model, config, [material(16)]))
    golden = json.loads((GOLDEN / "training_curve.json").read_text())
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, expected in golden["curves"].items():
        found = [float(row[name]) for row in rows if row[name]]
        assert found == pytest.approx(expected, rel=1e-3), name


class WatchedExcerpts(ValidationSet):
    """Notes for each excerpt whether convolutions may be rounded to TF32 while it is validated."""

    def excerpts(self, part=slice(None)):
        for excerpt in super().excerpts(part):
            allowed.append(torch.backends.cudnn.allow_tf32)
            yield excerpt


allowed = []


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_for_the_convolutions_of_training_only(tmp_path, type_in, material, tf32):
    model, config = load_preset("tiny.toml")
    alone = Processes(0, 1, torch.device("cpu"))
    _, held_out = prepare(Run(tmp_path / "run", model, replace(config, tf32=tf32), [material(4)]), alone)
    assert torch.backends.cudnn.allow_tf32 is tf32
    assert torch.backends.cuda.matmul.allow_tf32 is False  # losses and the search of codes
    allowed.clear()
    validate(RVQGAN(model), WatchedExcerpts(held_out.recordings, 4096, 1), True, alone)
    assert allowed == [False, False]
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_on_cuda_a_missing_compiler_is_named_before_anything_begins(tmp_path, monkeypatch):
    """Triton cannot be installed everywhere; here it stands for any module that can be found or not."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="lacks a C compiler"):
        require_compiler()
    monkeypatch.setenv("PATH", str(tmp_path))
    if importlib.util.find_spec("triton") is None:
        with pytest.raises(InputError, match="lacks Triton"):
            require_compiler()
    (tmp_path / "triton.py").write_text("")
    importlib.invalidate_caches()
    require_compiler()


def test_schedule():
    _, config = load_preset("small")
    config = replace(config, steps=1000, warmup_steps=10, decay_share=0.25, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in (0, 9, 500, 750, 875, 999)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.53, 0.034])
    falling = replace(config, warmup_steps=0, decay_share=0.0, gamma=0.999)
    assert [learning_rate(falling, step) for step in (0, 1, 500)] == pytest.approx([1, 0.999, 0.999**500])


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
    config = TrainConfig(
        steps=2, batch=1, excerpt_frames=4096, turn=False, weights={"waveform": 1.0}, balance=False, **settings
    )
    train(Run(tmp_path / "run", model, config, [tmp_path]))
    return checkpoint.load(tmp_path / "run" / "checkpoints" / "0000002")[0]["model"]


def test_training_can_start_from_transferred_weights_and_leave_dead_codes_alone(tmp_path):
    """Two steps at a rate of 1e-9 move nothing: what is there is the mono checkpoint, repeated."""
    mono = GOLDEN / "dac" / "mono.pth"
    start = f"transfer:{mono}"
    state = tiny_training(tmp_path, initialisation=start, revive_every=0, learning_rate=1e-9)
    expected = transfer(read_model(mono), 2)
    model = RVQGAN(expected.config)
    model.load_state_dict(state)
    for name, tensor in model.fold_weight_norm().state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_an_unknown_initialisation_is_refused(tmp_path):
    with pytest.raises(InputError, match="initialisation = 'magic'; known are pca, default and transfer:FILE"):
        tiny_training(tmp_path, initialisation="magic")
    with pytest.raises(InputError, match="no such file"):
        tiny_training(tmp_path, initialisation="transfer:nowhere.safetensors")
