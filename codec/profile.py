"""Report what a model costs.

    python -m codec.profile
    python -m codec.profile --preset paper --training

The report states parameters, multiply-accumulate operations (MAC) per second of audio, time per second of audio,
what computes the network (AVX-512, AVX2 or NEON, or else oneDNN), memory and latency. The operations are compared
with those of one published mono codec for each channel, whose times bench/against_stock.py measures. `--training`
counts a step of the preset instead, and estimates from that its memory and time on one GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.common.cli import parser, run

if TYPE_CHECKING:
    from codec.training.step_cost import StepCost


def report(found: dict[str, Any]) -> str:
    """Return the table that the command prints."""
    model, mono, channels = found["macs_per_s"], found["mono_macs_per_s"], found["channels"]
    rows = [f"{'':28}{'this model':>12}  {f'{channels} x published mono':>20}"]
    for name in (*model, "together"):
        macs = [sum(parts.values()) if name == "together" else parts[name] for parts in (model, mono)]
        rows.append(f"{name + ', GMAC/s of audio':28}{macs[0] / 1e9:12.3f}  {channels * macs[1] / 1e9:20.3f}")
    rows += [
        f"{'parameters, million':28}{found['parameters'] / 1e6:12.2f}",
        f"{'rate of the codes, kbit/s':28}{found['code_bps'] / 1e3:12.3f}",
        f"{'encode, s per s of audio':28}{found['encode_s_per_s']:12.3f}  ({found['threads']} threads)",
        f"{'decode, s per s of audio':28}{found['decode_s_per_s']:12.3f}",
        f"{'computed by':28}{found['kernel']:>12}",
        f"{'memory, MB':28}{found['memory_MB']:12.0f}  ({found['memory_above_model_MB']:.0f} above the model)",
        f"{'latency of a stream, s':28}{found['latency_s']:12.3f}",
        f"{'with --low-delay, s':28}{found['low_delay_latency_s']:12.3f}",
    ]
    return "\n".join(rows)


def training_report(cost: StepCost) -> str:
    """Return the table that the command prints for a training step."""
    rows = (
        ("operations of a step, TFLOP", cost.operations / 1e12, "counted"),
        (f"kept for gradients, GB in {cost.micro_batches} part(s)", cost.activation_bytes / 1e9, "counted"),
        ("memory of one GPU, GB", cost.memory_bytes / 1e9, "estimated, not measured"),
        ("step on one H100, s", cost.seconds, "estimated, not measured"),
    )
    return "\n".join(f"{name:38}{value:10.3g}  ({how})" for name, value, how in rows)


def main() -> None:
    """Run the command line."""
    arguments = parser(__doc__, "codec.profile")
    which = arguments.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, metavar="M", help="model file (default: the shipped one)")
    which.add_argument("--preset", metavar="P", help="untrained model of a preset of codec.train")
    arguments.add_argument("--training", action="store_true", help="a training step of the preset")
    arguments.add_argument("--seconds", type=float, default=6.0, help="duration of the noise to code (default: 6)")
    arguments.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = arguments.parse_args()
    if given.training and not given.preset:
        arguments.error("--training needs --preset")

    import json

    from codec.checkpoints.model_file import load
    from codec.coding.complexity import profile
    from codec.rvqgan.codec import RVQGAN
    from codec.training.config import load_preset
    from codec.training.step_cost import step_cost

    if given.training:
        print(training_report(step_cost(*load_preset(given.preset))))
        return
    if given.preset:
        model = RVQGAN(load_preset(given.preset)[0], weight_norm=False).eval().requires_grad_(False)
    else:
        model, _ = load(given.model, streamed=True)
    found = profile(model, given.seconds)
    print(json.dumps(found, indent=1) if given.json else report(found))


if __name__ == "__main__":
    run(main)
