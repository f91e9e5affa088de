"""Files of the stock package are decoded as it decodes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from codec.descript.dac_decode import decode_dac
from codec.descript.dac_file import read_dac
from codec.descript.weights import read_published
from codec.rvqgan.codec import RVQGAN
from render.common.errors import InputError

GOLDEN = Path(__file__).parents[2] / "golden" / "dac"
MONO = read_published(GOLDEN / "mono.pth")
VECTORS = load_file(GOLDEN / "mono.safetensors")


def decoded(file):
    return np.concatenate(list(decode_dac(MONO, file, "x.dac", threads=1)), axis=1)


def relative_error(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def test_an_unchunked_file():
    samples = decoded(read_dac(GOLDEN / "whole.dac"))
    assert samples.shape == (1, 1277)
    assert relative_error(samples, VECTORS["decoded"][0, :, :1277].numpy()) < 1e-5


def test_a_chunked_file():
    samples = decoded(read_dac(GOLDEN / "chunked.dac"))
    assert relative_error(samples, VECTORS["chunked_decoded"][0].numpy()) < 1e-5


def test_channels_are_decoded_one_by_one():
    for name in ("whole", "chunked"):
        one = read_dac(GOLDEN / f"{name}.dac")
        other = (one.codes * 7 + 3) % 32
        two = replace(one, codes=np.concatenate([one.codes, other]), channels=2)
        samples = decoded(two)
        np.testing.assert_array_equal(samples[0], decoded(one)[0])
        np.testing.assert_array_equal(samples[1], decoded(replace(one, codes=other))[0])


def test_a_file_of_another_rate_lasts_as_long():
    file = replace(read_dac(GOLDEN / "whole.dac"), sample_rate=48_000, original_length=1277)
    assert decoded(file).shape == (1, round(1277 * 44_100 / 48_000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(codes=np.full((1, 4, 160), 32)), "the model has 4 of 32"),
        (dict(codes=np.zeros((1, 5, 160), np.int64)), "5 codebooks"),
        (dict(original_length=1281), "codes end 1 samples before"),
        (dict(chunk_length=5000, padding=False, codes=np.zeros((1, 4, 5000), np.int64)), "chunks of 5000 frames"),
    ],
)
def test_files_that_do_not_fit_the_model(change, message):
    with pytest.raises(InputError, match=message):
        decoded(replace(read_dac(GOLDEN / "whole.dac"), **change))


def test_models_of_more_channels_are_refused():
    torch.manual_seed(0)
    stereo = RVQGAN(replace(MONO.config, channels=2, output_tanh=False)).fold_weight_norm()
    with pytest.raises(InputError, match="needs the mono model"):
        next(decode_dac(stereo, read_dac(GOLDEN / "whole.dac"), "x.dac"))
