"""Descript's package, transformers and this codec: the same weights give the same latents, codes and audio.

The golden vectors were made by the others (tests/golden/dac/README.md). Where the stock package is at hand
(STOCK_DAC names its folder, see bench/stock_dac.py) it is also compared live, with other weights and wider
networks.
"""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from codec.checkpoints.channel_transfer import start_from
from codec.descript.torch_file import open_torch_file
from codec.descript.weights import read_published
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig

GOLDEN = Path(__file__).parents[2] / "golden" / "dac"
MONO = read_published(GOLDEN / "mono.pth")
VECTORS = load_file(GOLDEN / "mono.safetensors")


def relative_error(ours, theirs):
    return float((ours - theirs).detach().norm() / theirs.norm())


def assert_same_codes(model, latents, theirs):
    """At least 99.99 % of the codes agree; where not, theirs is as good as ours to 1e-5 in the cosine.

    Each codebook is judged after the residual that their codes before it leave: an early difference must not
    excuse later ones.
    """
    with torch.inference_mode():
        assert (model.quantizer.encode(latents) == theirs).float().mean() >= 0.9999
        residual = latents
        for book, codes in zip(model.quantizer.codebooks, theirs.unbind(1), strict=True):
            rows = normalize(book.in_proj(residual).transpose(1, 2), dim=2)
            cosines = rows @ normalize(book.codebook.weight, dim=1).t()
            chosen = cosines.gather(2, codes[..., None])[..., 0]
            assert (cosines.max(2).values - chosen).max() < 1e-5
            residual = residual - book.out_proj(book.look_up(codes))


def assert_parity(model, vectors):
    codes = vectors["codes"].long()
    with torch.inference_mode():
        assert relative_error(model.encoder(vectors["audio"]), vectors["latents"]) <= 1e-5
        assert relative_error(model.quantizer.decode(codes), vectors["quantized"]) <= 1e-5
        assert relative_error(model.decoder(vectors["quantized"]), vectors["decoded"]) <= 1e-5
        # and in one go, each stage with what ours made before it
        ours = model.quantizer.decode(model.quantizer.encode(model.encoder(vectors["audio"])))
        assert relative_error(model.decoder(ours), vectors["decoded"]) <= 1e-5
    assert_same_codes(model, vectors["latents"], codes)


def test_mono_as_the_stock_package():
    assert MONO.config.output_tanh
    assert_parity(MONO, VECTORS)


def test_the_golden_vectors_would_notice_a_missing_tanh():
    linear = RVQGAN(replace(MONO.config, output_tanh=False)).fold_weight_norm().eval()
    linear.load_state_dict(MONO.state_dict())
    with torch.inference_mode():
        assert relative_error(linear.decoder(VECTORS["quantized"]), VECTORS["decoded"]) > 0.01


def test_four_channels_as_the_stock_layers():
    vectors = load_file(GOLDEN / "four_channels.safetensors")
    model = RVQGAN(replace(MONO.config, channels=4, output_tanh=False)).fold_weight_norm().eval()
    state = {
        k: v for k, v in MONO.state_dict().items() if not k.startswith(("encoder.block.0.", "decoder.model.4."))
    }
    for layer in ("encoder.block.0", "decoder.model.4"):
        v = vectors[f"state.{layer}.weight_v"]
        state[f"{layer}.weight"] = vectors[f"state.{layer}.weight_g"] * v / v.flatten(1).norm(dim=1)[:, None, None]
        state[f"{layer}.bias"] = vectors[f"state.{layer}.bias"]
    model.load_state_dict(state)
    assert_parity(model, vectors)


def test_mono_as_transformers():
    model = read_published(GOLDEN / "transformers" / "model.safetensors")
    assert model.config.sample_rate_hz == 44_100
    assert_parity(model, load_file(GOLDEN / "transformers" / "vectors.safetensors"))


def test_two_of_the_codebooks_as_the_stock_package():
    with torch.inference_mode():
        codes = MONO.quantizer.encode(VECTORS["latents"], 2)
        assert torch.equal(codes, VECTORS["codes"][:, :2].long())
        assert relative_error(MONO.quantizer.decode(codes), VECTORS["quantized_2"]) <= 1e-5
        assert relative_error(MONO.decoder(VECTORS["quantized_2"]), VECTORS["decoded_2"]) <= 1e-5


def test_training_losses_and_gradients_as_the_stock_package():
    """Quantiser dropout, both losses and the straight-through gradients, with what the stock package drew."""
    model = RVQGAN(MONO.config)
    start_from(model, MONO, "mono.pth")
    quantizer = model.quantizer
    items = VECTORS["latents"].unfold(2, 40, 40).permute(0, 2, 1, 3)[0].contiguous()
    result = quantizer(items, quantizer.draw_active_codebooks(len(items), torch.Generator().manual_seed(11)))
    assert torch.equal(result.codes, VECTORS["training_codes"].long())
    assert relative_error(result.latents, VECTORS["training_quantized"]) <= 1e-5
    for name in ("commitment_loss", "codebook_loss"):
        assert getattr(result, name).item() == pytest.approx(VECTORS[f"training_{name}"].item(), rel=1e-5)
    book = quantizer.quantizers[0]
    (rows,) = torch.autograd.grad(result.codebook_loss, book.codebook.weight, retain_graph=True)
    assert relative_error(rows, VECTORS["training_gradient_codebook"]) <= 1e-4
    # the gradient of v scales with 1/‖v‖, and the file's v has another norm than ours, the folded weight
    v = read_stored_v("quantizer.quantizers.0.in_proj.weight_v")
    total = result.latents.square().sum() + result.commitment_loss
    (ours,) = torch.autograd.grad(total, book.in_proj.parametrizations.weight.original1)
    weight = book.in_proj.weight.detach()
    ours = ours * (weight.flatten(1).norm(dim=1) / v.flatten(1).norm(dim=1))[:, None, None]
    assert relative_error(ours, VECTORS["training_gradient_in_proj_v"]) <= 1e-4


def read_stored_v(name):
    with open_torch_file(GOLDEN / "mono.pth") as file:
        return file.tensor(file.content["state_dict"][name])


@pytest.fixture(scope="module")
def package():
    folder = os.environ.get("STOCK_DAC")
    if not folder:
        pytest.skip("STOCK_DAC names no folder with descript-audio-codec (see bench/stock_dac.py)")
    from bench.stock_dac import stock

    return stock(Path(folder))


@pytest.mark.parametrize("channels", [1, 2, 16])
def test_random_weights_against_the_installed_package(package, channels, tmp_path):
    from bench.stock_dac import multichannel

    torch.manual_seed(channels)
    settings = dict(
        encoder_dim=16, encoder_rates=[2, 4, 8, 8], latent_dim=32, decoder_dim=128, decoder_rates=[8, 8, 4, 2],
        n_codebooks=6, codebook_size=1024, codebook_dim=8,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stock package's old weight norm
        theirs = package.DAC(**settings) if channels == 1 else multichannel(package, channels, **settings)
        for name, parameter in theirs.named_parameters():
            if name.endswith("alpha"):
                parameter.data.uniform_(0.3, 1.8)
        theirs.eval().save(tmp_path / "theirs.pth", package=False)
    audio = 0.3 * torch.randn(1, channels, 512 * 60)
    with torch.inference_mode():
        latents = theirs.encoder(audio)
        quantized, codes, *_ = theirs.quantizer(latents)
        vectors = dict(
            audio=audio, latents=latents, quantized=quantized, codes=codes, decoded=theirs.decoder(quantized)
        )
    model = read_published(tmp_path / "theirs.pth")
    assert model.config == ModelConfig(
        channels=channels, encoder_dim=16, decoder_dim=128, latent_dim=32, codebooks=6, output_tanh=channels == 1
    )
    assert_parity(model, vectors)
