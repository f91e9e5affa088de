"""The fused activation against the formula in double precision."""

import pytest
import torch

from codec.rvqgan.snake import snake


def formula(x, alpha):
    return x + torch.sin(alpha * x).square() / (alpha + 1e-9)


@pytest.mark.parametrize("level", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 33), (1, 16, 256)])
def test_value_and_gradients(level, shape):
    generator = torch.Generator().manual_seed(1)
    x = (level * torch.randn(shape, generator=generator)).requires_grad_()
    alpha = (0.02 + 2 * torch.rand((1, shape[1], 1), generator=generator)).requires_grad_()
    upstream = torch.randn(shape, generator=generator)
    y = snake(x, alpha)
    y.backward(upstream)

    x64, alpha64 = (t.detach().double().requires_grad_() for t in (x, alpha))
    formula(x64, alpha64).backward(upstream.double())
    # α·x is rounded to float32 before the sine: at |αx| = 400 half a unit is 1.5e-5
    tolerance = 1e-6 + 1e-7 * level
    assert (y - formula(x64, alpha64)).abs().max() <= tolerance / 0.02
    assert (x.grad - x64.grad).abs().max() <= 20 * tolerance
    assert (alpha.grad - alpha64.grad).norm() <= 1e-5 * alpha64.grad.norm() + 1e-6


def test_other_types_take_the_plain_formula():
    x = torch.linspace(-3, 3, 12, dtype=torch.float64).view(1, 2, 6)
    alpha = torch.tensor([0.5, 2.0], dtype=torch.float64).view(1, 2, 1)
    torch.testing.assert_close(snake(x, alpha), formula(x, alpha))


def test_result_does_not_depend_on_memory_order():
    x = torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(2))
    alpha = torch.ones(1, 6, 1)
    transposed = x.permute(0, 2, 1).contiguous().permute(0, 2, 1)
    assert torch.equal(snake(x, alpha), snake(transposed, alpha))
