"""The latents of codes: the sum over the codebooks of a vector times a matrix, plus a bias.

A table of what each code adds would have as many rows as there are codes, each as long as a latent: 9.4 MB in the
paper's network, for sums that take a thousandth of the decoder's time. Their order is fixed and no product is
fused with a sum, so the bits depend neither on how many frames are computed at once nor on the processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray
from torch import Tensor

from codec.bitstream.format import ABSENT
from codec.rvqgan.quantizer import ResidualVectorQuantizer
from render.common.compiled import compiled
from render.common.errors import InputError


class CodebookWeights(NamedTuple):
    """What turns codes into latents.

    Attributes
    ----------
    vectors : (codebook, code, dim)
    matrices : (codebook, dim, latent)
    biases : (codebook, latent)
    """

    vectors: Float32[ndarray, "codebook code dim"]
    matrices: Float32[ndarray, "codebook dim latent"]
    biases: Float32[ndarray, "codebook latent"]


def codebook_weights(quantizer: ResidualVectorQuantizer) -> CodebookWeights:
    """Return copies of the weights of a quantiser with folded weight norm, on the CPU."""
    books = quantizer.codebooks
    projections = [book.out_proj for book in books]
    return CodebookWeights(
        _stacked(book.codebook.weight for book in books),
        _stacked(projection.weight[:, :, 0].t() for projection in projections),
        _stacked(projection.bias for projection in projections if projection.bias is not None),
    )


def _stacked(tensors: Iterable[Tensor]) -> Float32[ndarray, "codebook ..."]:
    return torch.stack(list(tensors)).detach().cpu().numpy()


def latents(codes: Int[ndarray, "codebook frame"], weights: CodebookWeights) -> Float32[ndarray, "frame latent"]:
    """Return the latents of codes of the first codebooks, of which `ABSENT` ones contribute nothing.

    Raises
    ------
    InputError
        If there are not so many codebooks, or if a codebook does not have a code.
    """
    books, size, _ = weights.vectors.shape
    if len(codes) > books:
        raise InputError(f"codes of {len(codes)} codebooks; the model has 1 to {books}")
    if codes.size and not ABSENT <= codes.min() <= codes.max() < size:
        raise InputError(f"codes from {codes.min()} to {codes.max()}; the codebooks have 0 to {size - 1}")
    out = np.zeros((codes.shape[1], weights.biases.shape[1]), np.float32)
    _add_contributions(np.array(codes, np.int64, order="C"), *weights, out)
    return out


@compiled(nogil=True, error_model="numpy")
def _add_contributions(codes, vectors, matrices, biases, out):
    for book in range(len(codes)):
        for frame in range(codes.shape[1]):
            code = codes[book, frame]
            if code == ABSENT:
                continue
            for column in range(out.shape[1]):
                out[frame, column] += biases[book, column]
            for dim in range(vectors.shape[2]):
                for column in range(out.shape[1]):
                    out[frame, column] += vectors[book, code, dim] * matrices[book, dim, column]
