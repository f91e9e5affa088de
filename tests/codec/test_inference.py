"""Streaming equals one pass, for every cut; the file says what it costs."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream import CorruptStream, read_stream
from codec.inference import (
    decode,
    decode_blocks,
    encode,
    encode_blocks,
    level_gain_q8_db,
    overlapping_blocks,
)
from codec.model import Codec, ModelConfig
from render.errors import InputError
from render.scene import Scene

CONFIG = ModelConfig(
    channels=4, encoder_dim=4, decoder_dim=32, latent_dim=8, codebooks=4, codebook_size=64, dilations=(1, 3)
)
DIGEST = b"12345678"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Codec(CONFIG).fold_weight_norm().eval().requires_grad_(False)


def scene(frames, seed=0, level=0.1):
    samples = level * np.random.default_rng(seed).standard_normal((4, frames))
    return Scene(samples.astype(np.float32), 44_100)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.lists(st.integers(0, 60), max_size=8))
def test_overlapping_blocks_tile_the_stream(total, block, context, cuts):
    stream = np.arange(total)[None]
    edges = sorted({0, total, *(c for c in cuts if c < total)})
    parts = [stream[:, a:b] for a, b in pairwise(edges)]
    position = 0
    for columns, before, length in overlapping_blocks(parts, block, context):
        assert length == min(block, total - position)
        first = max(0, position - context)
        assert before == position - first
        assert columns[0].tolist() == list(range(first, min(total, position + length + context)))
        position += length
    assert position == total


def test_blocks_give_the_codes_of_one_pass(model):
    """300 frames make two packets: the codes at the seam are those of the network over the whole signal."""
    x = scene(300 * 512)
    coded = np.concatenate([p.codes for p in encode_blocks(model, [x.samples], 1.0, 4)], axis=1)
    with torch.inference_mode():
        whole = model.quantizer.encode(model.encoder(torch.from_numpy(x.samples)[None]))[0].numpy()
    assert (coded == whole).mean() >= 0.999  # the library sums other block lengths in another order


@pytest.mark.parametrize("cut", [1, 511, 4096, 131_072, 150_000])
def test_codes_do_not_depend_on_how_the_signal_arrives(model, cut):
    x = scene(280 * 512 + 100).samples
    parts = [x[:, start : start + cut] for start in range(0, x.shape[1], cut)] if cut > 500 else [x]
    expected = list(encode_blocks(model, [x], 1.0, 4))
    for a, b in zip(encode_blocks(model, parts, 1.0, 4), expected, strict=True):
        assert np.array_equal(a.codes, b.codes)
        assert np.array_equal(a.spatial, b.spatial)


@pytest.mark.parametrize("frames", [1, 511, 512, 513, 257 * 512 + 3])
def test_length_is_kept_to_the_sample(model, frames):
    data = encode(model, DIGEST, scene(frames))
    decoded = decode(model, DIGEST, data)
    assert decoded.frames == frames
    assert decoded.sample_rate_hz == 44_100


def test_a_louder_scene_gives_the_same_codes_and_a_louder_decoding(model):
    """The level is taken out before the encoder: 12 dB more change the header and nothing else."""
    quiet, loud = scene(4096), scene(4096, level=0.1 * 10 ** (12 / 20))
    a, b = encode(model, DIGEST, quiet), encode(model, DIGEST, loud)
    headers = [read_stream(io.BytesIO(data), "x")[0] for data in (a, b)]
    assert headers[0].gain_q8_db - headers[1].gain_q8_db == 12 * 256
    ratio = decode(model, DIGEST, b).samples / decode(model, DIGEST, a).samples
    np.testing.assert_allclose(ratio, 10 ** (12 / 20), rtol=1e-3)


def test_fewer_codebooks_make_a_smaller_file_with_the_same_first_codes(model):
    x = scene(20 * 512)
    full, half = encode(model, DIGEST, x), encode(model, DIGEST, x, codebooks=2)
    codes = [next(read_stream(io.BytesIO(data), "x")[1]).codes for data in (full, half)]
    assert np.array_equal(codes[0][:2], codes[1])
    assert len(full) - len(half) == 20 * 2 * 6 // 8


def test_decoded_samples_do_not_depend_on_the_length_that_follows(model):
    """A prefix of the packets gives the beginning of the samples: no seam, no state from the future."""
    x = scene(3 * 256 * 512)
    packets = list(encode_blocks(model, [x.samples], 1.0, 4))
    whole = np.concatenate(list(decode_blocks(model, packets, 1.0, x.frames)), axis=1)
    first = next(decode_blocks(model, packets, 1.0, x.frames))
    two = np.concatenate(list(decode_blocks(model, packets[:2], 1.0, 2 * 256 * 512)), axis=1)
    assert np.array_equal(whole[:, : first.shape[1]], first)
    inner = 2 * 256 * 512 - 13 * 512  # beyond, the network sees that nothing follows
    np.testing.assert_allclose(two[:, :inner], whole[:, :inner], atol=2e-3 * np.abs(whole).max())


def test_silence(model):
    data = encode(model, DIGEST, Scene(np.zeros((4, 2000), np.float32), 44_100))
    assert np.isfinite(decode(model, DIGEST, data).samples).all()
    assert level_gain_q8_db(0.0) == 0


def test_refusals(model):
    x = scene(1000)
    data = encode(model, DIGEST, x)
    with pytest.raises(InputError, match="not with this one"):
        decode(model, b"87654321", data)
    with pytest.raises(CorruptStream, match="cut"):
        decode(model, DIGEST, data[:-1])
    with pytest.raises(InputError, match="9 channels, the model codes 4"):
        encode(model, DIGEST, Scene(np.zeros((9, 10), np.float32), 44_100))
    with pytest.raises(InputError, match=r"48000 Hz.*stimuli\.prepare"):
        encode(model, DIGEST, Scene(x.samples, 48_000))
    with pytest.raises(InputError, match="1 to 4"):
        encode(model, DIGEST, x, codebooks=5)
