"""A training step on CUDA against the same step on the CPU; a run there, interrupted and resumed."""

from dataclasses import replace

import pytest
import torch

from codec.training import checkpoint
from codec.training.config import load_preset
from codec.training.distributed import Processes
from codec.training.state import State
from codec.training.update import update

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyTorch's compiler uses torch.jit
]


def losses_of_steps(device, count=2, **settings):
    """Losses and gradient norms of steps of the preset smoke, with quantiser and discriminators."""
    model, config = load_preset("smoke")
    config = replace(config, initialisation="default", quantizer_start=0, adversarial_start=0, **settings)
    torch.backends.cudnn.allow_tf32 = config.tf32
    state = State(model, config, torch.device(device))
    state.learning_rate = 1e-6
    batch = 0.1 * torch.randn(config.batch, 16, config.excerpt_frames, generator=torch.Generator().manual_seed(3))
    group = Processes(0, 1, torch.device(device))
    return [update(state, batch.to(device), config, group) for _ in range(count)], state


@pytest.mark.parametrize(
    ("settings", "near"), [({}, 5e-3), ({"tf32": True}, 0.02), ({"bf16": True}, 0.1), ({"accumulate": 2}, 0.03)]
)
def test_a_step_gives_the_losses_of_the_cpu(settings, near):
    expected, _ = losses_of_steps("cpu", **(settings | {"tf32": False, "bf16": False}))
    given, state = losses_of_steps("cuda", **settings)
    for one, other in zip(given, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            assert one[name] == pytest.approx(value, rel=near, abs=1e-3), name
    tensors = [value for slots in state.optimizer.state_dict()["state"].values() for value in slots.values()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert all(p.dtype == torch.float32 for p in state.model.parameters())


def test_a_run_is_interrupted_and_resumed(tmp_path, type_in, material):
    """As on the CPU, but not to the same bits: sums are made in any order there."""
    text = (tmp_path / "tiny.toml").read_text().replace("batch = 2\n", "batch = 2\nbf16 = true\ntf32 = true\n")
    (tmp_path / "p.toml").write_text(text)
    type_in("--preset", "p.toml", "--data", material(4), "--run", "r", "--device", "cuda", "--until", 5)
    type_in("--run", "r", "--resume", "--device", "cuda")
    groups, meta = checkpoint.load(tmp_path / "runs" / "r" / "checkpoints" / "0000008")
    assert meta["step"] == 8
    for tensors in groups.values():
        assert all(tensor.isfinite().all() for tensor in tensors.values())
    rows = (tmp_path / "runs" / "r" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(step) for step in range(1, 9)]
