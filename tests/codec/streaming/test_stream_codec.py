"""The network as a stream is the network: for every cut, every number of threads, from any tile on."""

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream.format import ABSENT
from codec.checkpoints.model_file import load, save
from codec.rvqgan.codec import RVQGAN, contextual_frames
from codec.rvqgan.config import ModelConfig
from codec.streaming import stream_layers as streaming
from codec.streaming import torch_layers, vector_kernels, vector_layers
from codec.streaming.stream_codec import StreamDecoder, StreamEncoder
from codec.streaming.stream_layers import Stream, exact_context_frames, stream_layers
from render.common.errors import InputError

TILE = 8
HOP = 512
AGREEMENT = 1e-5  # of the peak, between two ways to compute in float32


@pytest.fixture(params=["vectors", "without vectors"])
def processor(request, monkeypatch):
    """This processor, and one for which there is no vector code."""
    if request.param == "without vectors":
        monkeypatch.setattr(vector_kernels, "INSTRUCTION_SET", None)
    elif vector_kernels.INSTRUCTION_SET is None:
        pytest.skip("no vector code for this processor")
    return request.param


@pytest.fixture(scope="module", autouse=True)
def several_pieces_of_a_tile():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "PIECE_ELEMENTS", 2**9)
        yield


def noise(frames, channels=4, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((channels, frames))
    return samples.astype(np.float32)


def pieces(array, cuts):
    edges = [0, *sorted(cut % (array.shape[1] + 1) for cut in cuts), array.shape[1]]
    return [array[:, a:b] for a, b in pairwise(edges)]


def pushed(stream, parts):
    return np.concatenate([*(stream.push(part) for part in parts), stream.finish()], axis=1)


def test_a_tile_leaves_the_decoder_in_several_pieces(model, processor):
    """So that what the other tests here say holds for pieces."""
    assert len(StreamDecoder(model, tile_frames=TILE).pieces(np.zeros((4, TILE), np.int64))) > 1


@pytest.mark.parametrize("frames", [1, TILE, 3 * TILE + 5])
@torch.inference_mode()
def test_the_stream_is_the_network(model, frames, processor):
    """Against the modules' own forward pass over the whole signal: other code, other block sizes."""
    x = noise(frames * HOP - 100)
    codes = pushed(StreamEncoder(model, tile_frames=TILE), [x])
    padded = np.pad(x, ((0, 0), (0, 100)))
    latents = model.encoder(torch.from_numpy(padded)[None])
    assert (codes == model.quantizer.encode(latents)[0].numpy()).mean() >= 0.999
    decoded = pushed(StreamDecoder(model, tile_frames=TILE), [codes])
    whole = model.decoder(model.quantizer.decode(torch.from_numpy(codes)[None]))[0].numpy()
    np.testing.assert_allclose(decoded, whole, atol=AGREEMENT * np.abs(whole).max())


@pytest.mark.parametrize(
    "config",
    [
        dict(channels=1, output_tanh=True),
        dict(channels=12, layout="7.1.4", strides=(4, 2), decoder_dim=16),
        dict(channels=25, dilations=(), strides=(2, 8)),
    ],
)
@torch.inference_mode()
def test_any_configuration_streams(config):
    torch.manual_seed(1)
    sizes = dict(encoder_dim=4, decoder_dim=32, latent_dim=8, codebooks=2, codebook_size=16)
    model = RVQGAN(ModelConfig(**(sizes | config))).fold_weight_norm().eval().requires_grad_(False)
    hop = model.config.hop
    x = noise(40 * hop, model.config.channels)
    latents = model.encoder(torch.from_numpy(x)[None])
    codes = pushed(StreamEncoder(model, tile_frames=TILE), pieces(x, [1000, 77]))
    assert (codes == model.quantizer.encode(latents)[0].numpy()).mean() >= 0.99
    whole = model.decoder(model.quantizer.decode(torch.from_numpy(codes)[None]))[0].numpy()
    decoded = pushed(StreamDecoder(model, tile_frames=TILE), [codes])
    np.testing.assert_allclose(decoded, whole, atol=AGREEMENT * np.abs(whole).max())


@pytest.mark.skipif(vector_kernels.INSTRUCTION_SET is None, reason="no vector code for this processor")
@pytest.mark.parametrize("elements", [1, 2**11, 2**30])
def test_neither_pieces_nor_parts_change_a_bit(model, elements, monkeypatch):
    x = noise(20 * HOP + 7)
    codes = pushed(StreamEncoder(model, tile_frames=TILE), [x])
    samples = pushed(StreamDecoder(model, tile_frames=TILE), [codes])
    for name in ("PIECE_ELEMENTS", "PART_ELEMENTS", "MIN_PART_ROWS"):
        monkeypatch.setattr(streaming, name, elements)
    assert np.array_equal(codes, pushed(StreamEncoder(model, tile_frames=TILE), [x]))
    assert np.array_equal(samples, pushed(StreamDecoder(model, tile_frames=TILE), [codes]))


def test_the_same_bits_on_a_processor_without_vectors(model, monkeypatch):
    monkeypatch.setattr(vector_kernels, "INSTRUCTION_SET", None)
    x = noise(20 * HOP + 7)
    codes = pushed(StreamEncoder(model, threads=1, tile_frames=TILE), [x])
    assert np.array_equal(codes, pushed(StreamEncoder(model, threads=2, tile_frames=TILE), pieces(x, [3, 5000])))
    samples = pushed(StreamDecoder(model, threads=1, tile_frames=TILE), [codes])
    parts = pieces(codes, [1, 10])
    assert np.array_equal(samples, pushed(StreamDecoder(model, threads=2, tile_frames=TILE), parts))


@pytest.mark.skipif(vector_kernels.INSTRUCTION_SET is None, reason="no vector code for this processor")
@torch.inference_mode()
def test_vectors_and_onednn_choose_the_same_codes_but_for_ties():
    """The shipped network in both ways, on noise: the latents agree to 1e-5, and nearly all codes."""
    network = load(None)[0]
    rows = torch.from_numpy(noise(40 * HOP, 16).T.copy())
    found = []
    for computed_by in (vector_layers, torch_layers):
        stream = Stream(stream_layers(network.encoder.block, computed_by), 16, 256 * HOP, threads=1)
        found.append(torch.cat([*stream.push(rows), *stream.finish()]))
    vectors, onednn = found
    assert (vectors - onednn).norm() <= 1e-5 * onednn.norm()
    codes = [network.quantizer.encode(latents.t()[None])[0] for latents in found]
    assert (codes[0] == codes[1]).float().mean() >= 0.999
    # each codebook after the residual that the codes before it leave, so that one tie does not excuse later codes
    residual = onednn.t()[None]
    for book, chosen in zip(network.quantizer.codebooks, codes[0], strict=True):
        rows = book.in_proj(residual).transpose(1, 2)[0]
        distances = (rows[:, None] - book.codebook.weight).square().sum(2)
        excess = distances.gather(1, chosen[:, None])[:, 0] - distances.min(1).values
        assert (excess <= 1e-4 * distances.mean(1)).all()
        residual = residual - book.out_proj(book.look_up(chosen[None]))


@torch.inference_mode()
def test_weights_that_stay_in_the_file_are_read_once_and_give_the_same_bits(model, tmp_path, processor):
    path = tmp_path / "m.safetensors"
    save(path, model, {}, exact=True)
    stored, _ = load(path, streamed=True)
    path.unlink()
    assert all(parameter.is_meta for part in (stored.encoder, stored.decoder) for parameter in part.parameters())
    x = noise(20 * HOP)
    codes = [pushed(StreamEncoder(m, tile_frames=TILE), [x]) for m in (model, stored)]
    assert np.array_equal(*codes)
    samples = [pushed(StreamDecoder(m, tile_frames=TILE), [codes[0]]) for m in (model, stored)]
    assert np.array_equal(*samples)
    layers = [StreamDecoder(stored, tile_frames=TILE)._stream._layers for _ in range(2)]
    assert layers[0] is layers[1]
    with pytest.raises(InputError, match="in its file"):
        stored.encode(torch.from_numpy(x)[None])


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 40 * HOP), st.lists(st.integers(0, 2**20), max_size=12), st.integers(1, 3))
def test_the_same_bits_for_every_cut_and_number_of_threads(model, length, cuts, threads):
    x = noise(length)
    codes = pushed(StreamEncoder(model, threads=1, tile_frames=TILE), [x])
    again = pushed(StreamEncoder(model, threads=threads, tile_frames=TILE), pieces(x, cuts))
    assert np.array_equal(codes, again)
    samples = pushed(StreamDecoder(model, threads=1, tile_frames=TILE), [codes])
    parts = pieces(codes, cuts)
    assert np.array_equal(samples, pushed(StreamDecoder(model, threads=threads, tile_frames=TILE), parts))
    assert samples.shape[1] == -(-length // HOP) * HOP


def test_nothing_comes_later_than_the_latency_says(model):
    x = noise(40 * HOP)
    encoder = StreamEncoder(model, tile_frames=TILE)
    coded = 0
    for start in range(0, x.shape[1], HOP):
        coded += encoder.push(x[:, start : start + HOP]).shape[1]
        assert coded * HOP >= start + HOP - encoder.latency_samples - HOP
    decoder = StreamDecoder(model, tile_frames=TILE)
    codes = pushed(StreamEncoder(model, tile_frames=TILE), [x])
    done = 0
    for frame in range(codes.shape[1]):
        done += decoder.push(codes[:, frame : frame + 1]).shape[1]
        assert done >= (frame + 1 - decoder.latency_frames) * HOP


def test_the_future_beyond_the_context_changes_no_bit(model):
    """Causality up to the look-ahead: what was given out stays true whatever follows."""
    a, b = noise(64 * HOP), noise(64 * HOP)
    b[:, 40 * HOP :] = 0.3
    codes = [pushed(StreamEncoder(model, tile_frames=TILE), [x]) for x in (a, b)]
    seen = 40 - contextual_frames(model.config)[0]
    assert np.array_equal(codes[0][:, :seen], codes[1][:, :seen])
    assert not np.array_equal(codes[0][:, 41:], codes[1][:, 41:])


def test_a_running_decoder_gives_the_bits_of_one_that_began_at_the_beginning(model):
    codes = np.random.default_rng(0).integers(0, 64, (4, 9 * TILE + 3))
    whole = pushed(StreamDecoder(model, tile_frames=TILE), [codes])
    late = StreamDecoder(model, tile_frames=TILE, running=True)
    samples = pushed(late, [codes[:, 3 * TILE :]])[:, late.lag_samples :]
    assert samples.shape[1] == (6 * TILE + 3) * HOP
    warm = exact_context_frames(model.config) * HOP
    assert np.array_equal(samples[:, warm:], whole[:, 3 * TILE * HOP + warm :])


def test_an_absent_code_leaves_its_codebook_out(model):
    codes = np.random.default_rng(1).integers(0, 64, (4, 20))
    without = codes.copy()
    without[3] = ABSENT
    three = pushed(StreamDecoder(model, tile_frames=TILE), [codes[:3]])
    assert np.array_equal(three, pushed(StreamDecoder(model, tile_frames=TILE), [without]))
    assert not np.array_equal(three, pushed(StreamDecoder(model, tile_frames=TILE), [codes]))


@pytest.mark.parametrize("code", [-2, 64, 1023])
def test_codes_that_no_codebook_has_are_refused(model, code):
    """A codebook of 1000 codes takes 10 bits, so a stream may hold 1000 to 1023."""
    codes = np.zeros((4, 20), np.int64)
    codes[2, 7] = code
    with pytest.raises(InputError, match="the codebooks have 0 to 63"):
        StreamDecoder(model, tile_frames=TILE).push(codes)


def test_bf16_decoding_is_near_and_encoding_never_uses_it(model):
    """About 8 bits of mantissa: 40 to 50 dB below the signal."""
    codes = np.random.default_rng(2).integers(0, 64, (4, 40))
    exact = pushed(StreamDecoder(model, tile_frames=TILE), [codes])
    near = pushed(StreamDecoder(model, tile_frames=TILE, bf16=True), [codes])
    distance_db = 10 * np.log10(np.square(near - exact).sum() / np.square(exact).sum())
    assert -80 < distance_db < -30
    with pytest.raises(TypeError):
        StreamEncoder(model, bf16=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_codes_and_nearly_the_same_samples(model):
    x = noise(30 * HOP)
    here, there = model, deepcopy(model).to("cuda")
    codes = [pushed(StreamEncoder(m, tile_frames=TILE), [x]) for m in (here, there)]
    assert (codes[0] == codes[1]).mean() >= 0.999
    samples = [pushed(StreamDecoder(m, tile_frames=TILE), [codes[0]]) for m in (here, there)]
    np.testing.assert_allclose(samples[1], samples[0], atol=1e-5 * np.abs(samples[0]).max())
    parts = pushed(StreamDecoder(there, tile_frames=TILE), pieces(codes[0], [3, 17, 18]))
    assert np.array_equal(parts, samples[1])
