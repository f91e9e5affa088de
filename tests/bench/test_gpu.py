"""bench/gpu.sh in a dry run: trained, exported in pieces, resumed from them; its clock; its table of steps."""

import io
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import gpu
from codec.checkpoints.model_file import load
from codec.training import checkpoint
from render.fileio.audio_file import writer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls bench/gpu.py with a folder of prepared scenes; returns the folders out and work."""
    out, work = tmp_path / "out", tmp_path / "work"
    random = np.random.default_rng(0)
    (work / "data" / "301").mkdir(parents=True)
    for number in (1, 8):
        with writer(work / "data" / "301" / f"Beach.{number}.wav", 16, 44_100, "PCM_16") as file:
            file.write((0.1 * random.standard_normal((16, 8192))).astype(np.float32))
    monkeypatch.chdir(tmp_path)

    def run(*options):
        words = ["gpu.py", "--dry-run", "--out", out, "--work", work, *options]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        assert gpu.main() == 0
        return out, work

    return run


def test_a_run_is_completed_on_another_machine(call, monkeypatch):
    """Trained for 12 of 20 steps, exported in pieces of 1 MiB, removed, joined and resumed."""
    monkeypatch.setattr(gpu, "PIECE_BYTES", 1 << 20)
    out, work = call("--stages", "setup")
    words = ("--run", "smoke", "--preset", "smoke", "--data", work / "data/301", "--device", "cpu", "--until", 12)
    gpu.command("codec.train", *words)
    call("--stages", "export", "--checkpoint")
    sizes = [piece.stat().st_size for piece in sorted(out.glob("checkpoint.tar.*"))]
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {1 << 20}
    shutil.rmtree(work / "runs")
    call("--stages", "training", "export")
    assert checkpoint.steps(work / "runs/smoke/checkpoints") == [12, 20]
    steps = [line.split(",")[0] for line in (out / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == [str(step) for step in range(1, 21)]
    whole = io.BytesIO(b"".join(piece.read_bytes() for piece in sorted(out.glob("model.tar.*"))))
    with tarfile.open(fileobj=whole) as archive:
        archive.extractall(out, filter="data")
    assert load(out / "smoke.safetensors")[0].config.channels == 16


def test_the_clock_interrupts_what_lasts_too_long():
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), gpu.interrupted_after(0.05):
        time.sleep(30)
    assert time.monotonic() - begin < 10
    with gpu.interrupted_after(0.05):
        pass
    time.sleep(0.1)  # nothing comes any more


def test_steps_are_timed_beside_their_estimates(call, capsys, monkeypatch):
    monkeypatch.delenv("STOCK_DAC", raising=False)
    allowed = torch.backends.cudnn.allow_tf32
    call("--stages", "steps")
    torch.backends.cudnn.allow_tf32 = allowed
    printed = capsys.readouterr().out
    assert "step of smoke on cpu, measured: " in printed
    assert "estimated for one H100: " in printed
    assert "s/step, median" in printed  # of bench/train_step.py


def test_a_run_that_exists_is_not_measured_again(tmp_path):
    given = type("Given", (), {"stages": None, "work": tmp_path, "preset": "smoke"})
    assert gpu.stages_of(given) == list(gpu.STAGES)
    (tmp_path / "runs/smoke").mkdir(parents=True)
    assert gpu.stages_of(given) == ["setup", "scenes", "training", "export"]


def test_the_shell_finds_python_and_the_folders(tmp_path):
    """--help alone: a machine with a GPU would begin."""
    folders = {name.upper(): str(tmp_path / name) for name in ("out", "work")}
    done = subprocess.run(
        ["bash", ROOT / "bench/gpu.sh", "--help"], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, **folders},
    )  # fmt: skip
    assert "usage: gpu.py" in done.stdout
    assert "usage: gpu.py" in (tmp_path / "out/log.txt").read_text()
