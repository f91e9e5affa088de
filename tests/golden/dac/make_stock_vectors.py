"""Make the golden vectors of this folder with Descript's package and with transformers' `DacModel`.

    PYTHONPATH=. python tests/golden/dac/make_stock_vectors.py --stock DIR [--transformers DIR]

DIR: see bench/stock_dac.py, and a folder made by `pip install --target DIR transformers==5.23.0`. The weights are
random, with fixed seeds; one thread, so that repeating it on one machine gives the same bits.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

from bench.stock_dac import multichannel, stock

HERE = Path(__file__).parent
SMALL = dict(
    encoder_dim=4, encoder_rates=[2, 4], latent_dim=8, decoder_dim=16, decoder_rates=[4, 2],
    n_codebooks=4, codebook_size=32, codebook_dim=4, quantizer_dropout=0.5,
)  # fmt: skip
END = "decoder.model.4."
FRAMES, HOP = 160, 8


def randomise(model, seed: int) -> None:
    """Weights at which every part matters: no bias is 0, no gain and no Snake is 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                parameter.copy_(0.3 + 1.5 * torch.rand(parameter.shape, generator=generator))
            elif name.endswith("weight_g"):
                level = 0.9 if name.startswith(END) else 0.6  # far from where Tanh saturates
                parameter.copy_(level * (0.7 + 0.6 * torch.rand(parameter.shape, generator=generator)))
            elif name.endswith("bias"):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
            else:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))


def noise(channels: int, seed: int) -> torch.Tensor:
    """Noise with the spectrum of a recording, more or less."""
    white = torch.randn(1, channels, FRAMES * HOP, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft(white)
    spectrum = spectrum / (1 + torch.arange(spectrum.shape[-1]) / 100)
    return 3 * torch.fft.irfft(spectrum, white.shape[-1]).contiguous()


def vectors(model, audio: torch.Tensor) -> dict[str, torch.Tensor]:
    """What every stage makes of the audio; losses with the dropout switched off."""
    model.eval()
    with torch.no_grad():
        latents = model.encoder(audio)
        quantized, codes, projected, commitment, codebook = model.quantizer(latents)
        first_two = model.quantizer(latents, 2)[0]
        decoded = model.decoder(quantized)
    return dict(
        audio=audio, latents=latents, quantized=quantized, codes=codes.short(), projected=projected,
        quantized_2=first_two, decoded=decoded, decoded_2=model.decoder(first_two).detach(),
        commitment_loss=commitment[None], codebook_loss=codebook[None],
    )  # fmt: skip


def dropout_vectors(model, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """Training with quantiser dropout: four items, the first two of them with fewer codebooks."""
    items = latents.unfold(2, 40, 40).permute(0, 2, 1, 3)[0].contiguous()
    model.train()
    torch.manual_seed(11)
    quantized, codes, _, commitment, codebook = model.quantizer(items)
    torch.manual_seed(11)
    drawn = torch.randint(1, SMALL["n_codebooks"] + 1, (len(items),))[:2]
    (gradient,) = torch.autograd.grad(
        (quantized.square().sum() + commitment), model.quantizer.quantizers[0].in_proj.weight_v, retain_graph=True
    )
    (book,) = torch.autograd.grad(codebook, model.quantizer.quantizers[0].codebook.weight)
    return dict(
        training_drawn=drawn, training_quantized=quantized.detach(), training_codes=codes.short(),
        training_commitment_loss=commitment.detach()[None], training_codebook_loss=codebook.detach()[None],
        training_gradient_in_proj_v=gradient, training_gradient_codebook=book,
    )  # fmt: skip


@torch.no_grad()
def chunked(model, DACFile, audio: torch.Tensor, chunk_samples: int):
    """`CodecMixin.compress` and `decompress` for audio longer than their window, without their AudioSignal."""
    model.eval()
    model.padding = False
    padded = torch.nn.functional.pad(audio, (model.delay, model.delay))
    length = audio.shape[-1]
    hop = model.get_output_length(chunk_samples)
    parts = []
    for start in range(0, length, hop):
        x = padded[..., start : start + chunk_samples]
        x = torch.nn.functional.pad(x, (0, max(0, chunk_samples - x.shape[-1])))
        parts.append(model.encode(model.preprocess(x, 44_100))[1])
    codes, chunk = torch.cat(parts, -1), parts[-1].shape[-1]
    decoded = [model.decode(model.quantizer.from_codes(c)[0]) for c in codes.split(chunk, -1)]
    model.padding = True
    file = DACFile(codes, chunk, length, torch.tensor([-23.5]), 1, 44_100, False, "1.0.0")
    return file, torch.cat(decoded, -1)[..., :length]


def from_transformers(folder: Path) -> None:
    """Random `DacModel` in its own file format, and what its stages make of the audio."""
    sys.path.append(str(folder))
    from transformers import DacConfig, DacModel

    config = DacConfig(
        encoder_hidden_size=4, downsampling_ratios=[2, 4], decoder_hidden_size=16, n_codebooks=4, codebook_size=32,
        codebook_dim=4, sampling_rate=44_100,
    )  # fmt: skip
    torch.manual_seed(4)
    model = DacModel(config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                parameter.copy_(0.3 + 1.5 * torch.rand(parameter.shape, generator=generator))
            elif "codebook" not in name:
                level = 4.0 if name == "decoder.conv2.weight" else 0.7
                scale = 0.1 if name.endswith("bias") else level * parameter[0].numel() ** -0.5
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        audio = noise(1, 5)
        latents = model.encoder(audio)
        encoded = model.encode(audio)
        decoded = model.decode(encoded.quantized_representation).audio_values
    target = HERE / "transformers"
    model.save_pretrained(target)
    save_file(
        dict(audio=audio, latents=latents, quantized=encoded.quantized_representation.contiguous(),
             codes=encoded.audio_codes.short().contiguous(), decoded=decoded[:, None].contiguous()),
        target / "vectors.safetensors",
    )  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--stock", type=Path, required=True)
    arguments.add_argument("--transformers", type=Path)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    package = stock(given.stock)
    warnings.simplefilter("ignore")  # the old weight norm is deprecated

    mono = package.DAC(**SMALL)
    randomise(mono, 1)
    mono.save(HERE / "mono.pth", package=False)
    result = vectors(mono, noise(1, 2))
    file, decoded = chunked(mono, package.DACFile, result["audio"], 800)
    file.save(HERE / "chunked.dac")
    DACFile = package.DACFile
    unpadded = DACFile(
        result["codes"].long(), FRAMES, FRAMES * HOP - 3, torch.tensor([-16.25]), 1, 44_100, True, "1.0.0"
    )
    unpadded.save(HERE / "whole.dac")
    result |= dict(chunked_codes=file.codes.short(), chunked_decoded=decoded)
    result |= dropout_vectors(mono, result["latents"])
    save_file({k: v.contiguous() for k, v in result.items()}, HERE / "mono.safetensors")

    four = multichannel(package, 4, **SMALL)
    randomise(four, 6)
    # all but the first and the last convolution has mono's weights, which stand in mono.pth
    kept = {
        name: tensor for name, tensor in mono.state_dict().items() if tensor.shape == four.state_dict()[name].shape
    }
    kept = {name: tensor for name, tensor in kept.items() if not name.startswith(("encoder.block.0.", END))}
    four.load_state_dict(kept, strict=False)
    result = vectors(four, noise(4, 7))
    result = {name: result[name] for name in ("audio", "latents", "quantized", "codes", "decoded")}
    result |= {f"state.{name}": tensor for name, tensor in four.state_dict().items() if name not in kept}
    save_file({k: v.contiguous() for k, v in result.items()}, HERE / "four_channels.safetensors")
    if given.transformers:
        from_transformers(given.transformers)


if __name__ == "__main__":
    main()
