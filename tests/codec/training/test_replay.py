"""A step of a run is repeated without writing anything."""

import pytest
import torch

from codec.training import checkpoint
from render.common.errors import InputError


def weights(run, step):
    groups, _ = checkpoint.load(run / "checkpoints" / f"{step:07d}")
    return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def test_a_number_that_is_not_finite_stops_the_run_and_can_be_replayed(tmp_path, type_in, material, capsys):
    """One weight of the last convolution becomes infinite in the checkpoint of step 4: step 5 shows it."""
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--until", 4)
    folder = tmp_path / "runs" / "r" / "checkpoints"
    groups, meta = checkpoint.load(folder / "0000004")
    name = "decoder.model.4.parametrizations.weight.original1"
    groups["model"][name][0, 0, 0] = float("inf")
    checkpoint.save(folder, 4, groups, {key: meta[key] for key in ("model", "train")})
    poisoned = weights(tmp_path / "runs" / "r", 4)
    with pytest.raises(InputError, match=r"step 5: .* is (nan|inf); the last checkpoint is kept, .* --replay 5"):
        type_in("--run", "r", "--resume")
    assert checkpoint.steps(folder) == [4]
    kept = weights(tmp_path / "runs" / "r", 4)
    assert [name for name in kept if not torch.equal(kept[name], poisoned[name])] == []
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    capsys.readouterr()
    type_in("--run", "r", "--replay", 5)
    printed = capsys.readouterr().out
    assert "step 5, from the weights after step 4; nothing is written" in printed
    assert f"weights that are not finite: {name}" in printed
    assert printed.count(".1.wav from sample") == 2
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}


def test_a_replayed_step_has_the_numbers_of_the_run(tmp_path, type_in, material, capsys):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--steps", 6)
    rows = [line.split(",") for line in (tmp_path / "runs" / "r" / "metrics.csv").read_text().splitlines()]
    row = dict(zip(rows[0], rows[6], strict=True))
    assert row["step"] == "6"
    capsys.readouterr()
    type_in("--run", "r", "--replay", 6)
    numbers = dict(line.split() for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    for name in ("mel", "covariance", "discriminator", "adversarial", "feature", "quantizer", "gradient_norm"):
        assert float(numbers[name]) == pytest.approx(float(row[name]), rel=1e-5), name
