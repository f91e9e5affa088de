"""Compare our training step with the published one, both with 16 channels, alternating in one run.

    STOCK_DAC=DIR python bench/train_step.py [--width 4] [--batch 2] [--seconds 0.37] [--device cuda] [--bf16]

Our step is `codec.training.update.update` with the preset `paper`; the published one is bench/stock_training.py.
Both have the same architecture, weights, batches and losses: those of the paper, in full (seven mel scales, 16
channels, 100 feature maps), but without quantiser dropout, whose random numbers differ. `--width N` divides the
widths of generator and discriminators by N; 1 is the paper's size. Losses and gradient norms of the first step are
printed side by side: in float32 they agree to 1e-5. The ratio is the time of the published step divided by ours,
in wall-clock time and in processor time, which other programs on the machine disturb less. Without STOCK_DAC our
step is timed alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--width", type=int, default=4, choices=(1, 2, 4, 8), help="divides widths (default 4)")
    arguments.add_argument("--batch", type=int, default=2)
    arguments.add_argument("--seconds", type=float, default=0.37)
    arguments.add_argument(
        "--steps", type=int, default=5, help="timed steps of each, after a first one that is not timed"
    )
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--bf16", action="store_true", help="both under autocast")
    given = arguments.parse_args()
    if "STOCK_DAC" not in os.environ:
        print("STOCK_DAC is not set: our step alone; bench/stock_dac.py says how to get the stock package")
    sys.path.insert(0, str(ROOT))
    compare(given)


def compare(given: argparse.Namespace) -> None:
    """Build both, run them alternately and print the table."""
    import torch

    from bench import stock_training
    from codec.rvqgan.codec import count_parameters
    from codec.training.distributed import Processes
    from codec.training.update import update

    device = torch.device(given.device)
    alone = Processes(0, 1, device)
    state, config = our_state(given, device)
    print(
        f"generator {count_parameters(state.model) / 1e6:.2f} M parameters, discriminators "
        f"{count_parameters(state.discriminator) / 1e6:.2f} M; {given.batch} x {given.seconds} s x 16 channels; "
        f"{device}, {'bfloat16 autocast' if given.bf16 else 'float32'}, {torch.get_num_threads()} threads"
    )
    steps = {"ours": lambda batch: update(state, batch, config, alone)}
    if "STOCK_DAC" in os.environ:
        theirs = stock_networks(given, state, device)
        optimizers = stock_training.optimizers(*theirs)
        steps["published"] = lambda batch: stock_training.step(*theirs, optimizers, batch, given.bf16)
    clock: dict[str, list[float]] = {name: [] for name in steps}
    processor: dict[str, list[float]] = {name: [] for name in steps}
    first: dict[str, dict[str, float]] = {}
    for index in range(given.steps + 1):
        batch = scene(given.batch, config.excerpt_frames, index).to(device)
        for name, step in steps.items():
            begin = time.perf_counter(), time.process_time()
            found = {key: torch.as_tensor(value).item() for key, value in step(batch).items()}  # waits for a GPU
            if device.type == "cuda":
                torch.cuda.synchronize()
            if index:
                clock[name].append(time.perf_counter() - begin[0])
                processor[name].append(time.process_time() - begin[1])
            else:
                first[name] = found
    if "published" not in steps:
        for title, times in (("s/step, median", clock), ("processor s/step, median", processor)):
            print(f"{title:28}{statistics.median(times['ours']):14.3f}")
        return
    print(f"{'first step':28}{'ours':>14}{'published':>14}{'difference':>12}")
    for key, value in first["published"].items():
        own = first["ours"].get(key)
        row = "not computed" if own is None else f"{own:.7g}"
        print(
            f"{key:28}{row:>14}{value:14.7g}" + ("" if own is None else f"{abs(own - value) / abs(value):12.1e}")
        )
    for title, times in (("s/step, median", clock), ("processor s/step, median", processor)):
        ratios = [s / o for s, o in zip(times["published"], times["ours"], strict=True)]
        ours, published = (statistics.median(times[name]) for name in ("ours", "published"))
        print(
            f"{title:28}{ours:14.3f}{published:14.3f}   ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def our_state(given: argparse.Namespace, device):
    """Return our state and settings."""
    from dataclasses import replace

    from bench import stock_training
    from codec.training.config import load_preset
    from codec.training.state import State

    model, config = load_preset("paper")
    widths = {name: getattr(model, name) // given.width for name in ("encoder_dim", "decoder_dim")}
    model = replace(model, quantizer_dropout=0.0, **widths)
    discriminator = {
        k: v // given.width if k.endswith("width") else v for k, v in (config.discriminator or {}).items()
    }
    length = round(given.seconds * stock_training.RATE_HZ / model.hop) * model.hop
    config = replace(
        config, batch=given.batch, excerpt_frames=length, initialisation="default", bf16=given.bf16, accumulate=1,
        discriminator=discriminator,
    )  # fmt: skip
    return State(model, config, device), config


def stock_networks(given: argparse.Namespace, state, device):
    """Return the stock generator and discriminator; our networks take their weights."""
    from bench import stock_training
    from bench.stock_dac import multichannel, stock

    package, model = stock(Path(os.environ["STOCK_DAC"])), state.model.config
    theirs = (
        multichannel(
            package, model.channels, encoder_rates=list(model.strides), decoder_rates=list(model.strides[::-1]),
            n_codebooks=model.codebooks, codebook_size=model.codebook_size, codebook_dim=model.codebook_dim,
            latent_dim=model.latent_dim, sample_rate=model.sample_rate_hz, encoder_dim=model.encoder_dim,
            decoder_dim=model.decoder_dim,
        ),
        stock_training.stock_discriminator(model.channels, given.width),
    )  # fmt: skip
    for own, other in zip((state.model, state.discriminator), theirs, strict=True):
        names = {_new_name(name): value for name, value in other.to(device).state_dict().items()}
        own.load_state_dict(names)
    return theirs


def _new_name(name: str) -> str:
    """Name of a parameter in PyTorch's present weight norm."""
    name = name.replace(".weight_g", ".parametrizations.weight.original0")
    return name.replace(".weight_v", ".parametrizations.weight.original1")


def scene(batch: int, length: int, seed: int):
    """Noise (batch, 16, length) whose spectrum falls with frequency; its channels are correlated."""
    import torch

    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(batch, 16, 16, generator=random) * 0.3 + torch.eye(16)
    spectrum = torch.fft.rfft(torch.randn(batch, 16, length, generator=random))
    spectrum = spectrum / (1 + torch.arange(spectrum.shape[-1]) / 50).sqrt()
    return 0.1 * mixing @ torch.fft.irfft(spectrum, length)


if __name__ == "__main__":
    main()
