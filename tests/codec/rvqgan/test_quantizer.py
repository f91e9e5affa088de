"""Residual VQ: losses, gradients and dropout as published."""

import pytest
import torch
from torch.nn.functional import mse_loss

from codec.rvqgan.config import ModelConfig
from codec.rvqgan.quantizer import ResidualVectorQuantizer, VectorQuantizer
from render.common.errors import InputError


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return ResidualVectorQuantizer(ModelConfig(latent_dim=16, codebooks=6, codebook_size=32, codebook_dim=4))


def test_search_takes_the_row_of_the_largest_cosine(quantizer):
    book = quantizer.quantizers[0]
    z = torch.randn(2, 4, 9)
    codes = book.search(z)
    for b in range(2):
        for t in range(9):
            cosines = torch.nn.functional.cosine_similarity(z[b, :, t][None], book.codebook.weight)
            assert codes[b, t] == cosines.argmax()


def test_without_dropout_training_and_inference_agree(quantizer):
    x = torch.randn(3, 16, 20)
    result = quantizer(x)
    codes = quantizer.encode(x)
    assert torch.equal(result.codes, codes)
    torch.testing.assert_close(result.latents, quantizer.decode(codes))


def test_losses_are_the_published_ones(quantizer):
    """Mean squared error between projection and row, per codebook, summed; the two differ in their gradient."""
    x = torch.randn(2, 16, 20)
    result = quantizer(x)
    expected, residual = 0.0, x
    for book in quantizer.quantizers:
        z = book.in_proj(residual)
        row = book.look_up(book.search(z))
        expected += mse_loss(z, row)
        residual = residual - book.out_proj(row)
    torch.testing.assert_close(result.commitment_loss, expected)
    torch.testing.assert_close(result.codebook_loss, expected)

    result.commitment_loss.backward(retain_graph=True)
    assert quantizer.quantizers[0].codebook.weight.grad is None
    result.codebook_loss.backward()
    assert quantizer.quantizers[0].codebook.weight.grad.abs().sum() > 0


def test_euclidean_search_finds_the_nearest_row():
    torch.manual_seed(1)
    book = VectorQuantizer(16, 64, 4, euclidean=True)
    with torch.no_grad():
        book.codebook.weight.mul_(torch.rand(64, 1) * 3)  # rows of different lengths: the cosine errs
    projected = torch.randn(2, 4, 50)
    distance = torch.cdist(projected.transpose(1, 2), book.codebook.weight[None])
    assert torch.equal(book.search(projected), distance.argmin(2))
    book.euclidean = False
    assert not torch.equal(book.search(projected), distance.argmin(2))


def test_gradient_passes_straight_through(quantizer):
    """d(out)/d(in) of a codebook is that of out_proj(in_proj(·)), as if nothing were quantised."""
    book = quantizer.quantizers[0]
    x = torch.randn(1, 16, 5, requires_grad=True)
    upstream = torch.randn(1, 16, 5)
    book(x)[0].backward(upstream)
    through = x.grad.clone()
    x.grad = None
    book.out_proj(book.in_proj(x)).backward(upstream)
    torch.testing.assert_close(through, x.grad)


def test_dropout_keeps_a_prefix_of_the_codebooks_for_half_of_the_items(quantizer):
    x = torch.randn(8, 16, 10)
    result = quantizer(x, quantizer.draw_active_codebooks(8, torch.Generator().manual_seed(4)))
    codes = quantizer.encode(x)
    used = []
    for item in range(8):
        distances = [
            (result.latents[item] - quantizer.decode(codes[item : item + 1, :n])[0]).norm().item()
            for n in range(1, 7)
        ]
        used.append(1 + min(range(6), key=distances.__getitem__))
        assert min(distances) < 1e-4
    drawn = torch.randint(1, 7, (4,), generator=torch.Generator().manual_seed(4)).tolist()
    assert used == [*drawn, 6, 6, 6, 6]


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_any_number_of_codebooks_is_a_prefix(quantizer, count):
    """The codes of n codebooks are the first n of all; decoding them adds up what the first n contribute."""
    x = torch.randn(2, 16, 20)
    codes = quantizer.encode(x, count)
    assert torch.equal(codes, quantizer.encode(x)[:, :count])
    expected = sum(
        quantizer.quantizers[i].out_proj(quantizer.quantizers[i].codebook.weight[codes[:, i]].transpose(1, 2))
        for i in range(count)
    )
    torch.testing.assert_close(quantizer.decode(codes), expected)


def test_impossible_codes_are_refused(quantizer):
    x = torch.randn(1, 16, 4)
    for count in (0, -1, 7):
        with pytest.raises(InputError, match="the model has 1 to 6"):
            quantizer.encode(x, count)
    with pytest.raises(InputError, match="codes of 7 codebooks"):
        quantizer.decode(torch.zeros(1, 7, 4, dtype=torch.long))
    for wrong in (-1, 32, 2**40):
        codes = quantizer.encode(x)
        codes[0, 3, 2] = wrong
        with pytest.raises(InputError, match="the codebooks have 0 to 31"):
            quantizer.decode(codes)


def test_dropout_gives_no_gradient_to_the_codebooks_left_out(quantizer):
    """All items coded with one codebook: only the first one learns."""
    quantizer.dropout = 1.0
    seed = next(
        s for s in range(1000) if torch.randint(1, 7, (2,), generator=torch.Generator().manual_seed(s)).eq(1).all()
    )
    active = quantizer.draw_active_codebooks(2, torch.Generator().manual_seed(seed))
    result = quantizer(torch.randn(2, 16, 10), active)
    (result.latents.square().sum() + result.codebook_loss + result.commitment_loss).backward()
    moved = [
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in q.parameters()) for q in quantizer.quantizers
    ]
    assert moved == [True] + [False] * 5
