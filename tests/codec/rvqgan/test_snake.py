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
    x = torch.linspace(-3, 3, 12, dtype=torch.float64).view(1, 2, 6).requires_grad_()
    alpha = torch.tensor([0.5, 2.0], dtype=torch.float64).view(1, 2, 1).requires_grad_()
    torch.testing.assert_close(snake(x, alpha), formula(x, alpha))
    assert torch.autograd.gradcheck(snake, (x, alpha))


def test_bfloat16_is_rounded_once_and_keeps_its_input_alone():
    """α stays float32, as under autocast; the formula's own steps would take four times the memory."""
    x = torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(2)).bfloat16().requires_grad_()
    alpha = torch.linspace(0.3, 2, 6).view(1, 6, 1).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda t: t):
        y = snake(x, alpha)
    assert torch.equal(y, formula(x.float(), alpha).bfloat16())
    assert [tensor.shape for tensor in kept] == [x.shape, alpha.shape]
    y.backward(torch.ones_like(y))
    x32, alpha32 = x.detach().float().requires_grad_(), alpha.detach().requires_grad_()
    formula(x32, alpha32).sum().backward()
    assert (x.grad.dtype, alpha.grad.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(x.grad, x32.grad.bfloat16(), atol=0.02, rtol=0.01)
    torch.testing.assert_close(alpha.grad, alpha32.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's compiler uses torch.jit
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_compiled_kernels_of_a_gpu_are_the_formula(dtype):
    for shape in ((2, 16, 512), (3, 64, 96), (1, 5, 7)):
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(shape, generator=generator).to("cuda", dtype).requires_grad_()
        alpha = (0.1 + torch.rand((1, shape[1], 1), generator=generator)).cuda().requires_grad_()
        given = torch.autograd.grad(snake(x, alpha).sum(), (x, alpha))
        x64, alpha64 = (t.detach().double().requires_grad_() for t in (x, alpha))
        expected = torch.autograd.grad(formula(x64, alpha64).sum(), (x64, alpha64))
        near = 1e-5 if dtype is torch.float32 else 0.02
        for one, other in zip((snake(x, alpha), *given), (formula(x64, alpha64), *expected), strict=True):
            torch.testing.assert_close(one.double(), other, rtol=near, atol=near)


def test_result_does_not_depend_on_memory_order():
    x = torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(2))
    alpha = torch.ones(1, 6, 1)
    transposed = x.permute(0, 2, 1).contiguous().permute(0, 2, 1)
    assert torch.equal(snake(x, alpha), snake(transposed, alpha))
