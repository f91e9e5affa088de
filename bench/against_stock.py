"""Compare the codec with Descript's stock package, alternating between the two in one run.

    STOCK_DAC=DIR python bench/against_stock.py [--seconds 10] [--rounds 3] [--long 600]

The network is the paper's (64 million parameters, 16 channels) with random weights. It is compared with two
others: the same architecture made of the stock package's classes, with 16 channels in the first and last
convolution (bench/stock_dac.py says how to get them; without STOCK_DAC only our codec runs), and 16 mono codecs,
of which one is run and counted 16 times. Each measurement runs in a process of its own, so that peak memory is
measured separately. Ratios are given for wall-clock time and for processor time, which other programs on the
machine disturb less. `--long` also codes that many seconds, with the shipped model on our side, and shows where
the stock package runs out of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RATE_HZ = 44_100


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024


def clock() -> tuple[float, float]:
    """Wall-clock time, and processor time of all threads, in seconds."""
    return time.perf_counter(), time.process_time()


def timed(begin: tuple, middle: tuple, end: tuple, seconds: float) -> dict:
    """Seconds per second of audio."""
    return {
        "encode": (middle[0] - begin[0]) / seconds,
        "decode": (end[0] - middle[0]) / seconds,
        "encode_cpu": (middle[1] - begin[1]) / seconds,
        "decode_cpu": (end[1] - middle[1]) / seconds,
    }


def noise(channels: int, seconds: float):
    """The signal that all codecs get: noise of a fixed seed, float32 (channel, time)."""
    import numpy as np

    samples = np.random.default_rng(0).standard_normal((channels, round(seconds * RATE_HZ)))
    return (0.05 * samples).astype(np.float32)


def ours(seconds: float, shipped: bool) -> dict:
    """Encode and decode through the bit stream, in one piece and in several."""
    import io

    import numpy as np
    import torch

    from codec.bitstream.file import write_stream
    from codec.checkpoints.model_file import load
    from codec.coding.pipeline import decode_packets, encode_packets, make_header, summarise
    from codec.rvqgan.codec import RVQGAN
    from codec.rvqgan.config import ModelConfig

    torch.manual_seed(0)
    model = load()[0] if shipped else RVQGAN(ModelConfig(), weight_norm=False).eval().requires_grad_(False)

    def pieces(size: int):
        """Noise in pieces of `size` samples, generated on demand, so that no long signal is held in memory."""
        random = np.random.default_rng(0)
        for _ in range(round(seconds * RATE_HZ / size)):
            yield (0.05 * random.standard_normal((16, size))).astype(np.float32)

    list(encode_packets(model, make_header(model, bytes(8), summarise([noise(16, 1)])), [noise(16, 1)]))
    begin = clock()
    header = make_header(model, bytes(8), summarise(pieces(RATE_HZ)))
    packets = list(encode_packets(model, header, pieces(RATE_HZ)))
    middle = clock()
    for _ in decode_packets(model, header, packets):
        pass
    end = clock()
    file = io.BytesIO()
    result = {
        **timed(begin, middle, end, seconds),
        "memory": peak_mb(),
        "kbps": 8 * write_stream(file, header, packets) / seconds / 1000,
    }
    if seconds <= 20:
        whole = np.concatenate(list(pieces(RATE_HZ)), axis=1)
        cut = [whole[:, start : start + 33_333] for start in range(0, whole.shape[1], 33_333)]
        again = list(encode_packets(model, header, cut))
        result["chunks"] = (
            "same bits"
            if all(np.array_equal(a.codes, b.codes) for a, b in zip(packets, again, strict=True))
            else "DIFFERENT"
        )
    return result


def available_bytes() -> int:
    """Memory that is still available on this machine."""
    return next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemAvailable")) * 1024


def stock(seconds: float, channels: int) -> dict:
    """Encode and decode in one piece, as the stock package does without windowing."""
    # At the limit of the machine this process fails, rather than some other program
    resource.setrlimit(resource.RLIMIT_AS, (round(0.9 * available_bytes()),) * 2)
    import numpy as np
    import torch

    sys.path.insert(0, str(ROOT))
    from bench.stock_dac import multichannel
    from bench.stock_dac import stock as package_of

    package = package_of(Path(os.environ["STOCK_DAC"]))
    settings = dict(
        encoder_dim=64, encoder_rates=[2, 4, 8, 8], latent_dim=128, decoder_dim=1536, decoder_rates=[8, 8, 4, 2],
        n_codebooks=18, codebook_size=1024, codebook_dim=8, quantizer_dropout=0.5, sample_rate=RATE_HZ,
    )  # fmt: skip
    torch.manual_seed(0)
    model = (package.DAC(**settings) if channels == 1 else multichannel(package, channels, **settings)).eval()
    signal = torch.from_numpy(noise(channels, seconds))[None]
    signal = torch.nn.functional.pad(signal, (0, -signal.shape[-1] % 512))
    with torch.no_grad():
        model.decode(model.encode(signal[..., : RATE_HZ // 512 * 512])[0])
        begin = clock()
        latents, codes, *_ = model.encode(signal)
        middle = clock()
        model.decode(latents)
        end = clock()
        result = {**timed(begin, middle, end, seconds), "memory": peak_mb()}
        half = model.encode(signal[..., : signal.shape[-1] // 1024 * 512])[1]
    same = float((half == codes[..., : half.shape[-1]]).float().mean())
    result["chunks"] = f"{same:.2%} of the codes"
    with tempfile.TemporaryDirectory() as folder:
        stored = package.DACFile(
            codes=codes, chunk_length=codes.shape[-1], original_length=signal.shape[-1], input_db=torch.zeros(1),
            channels=channels, sample_rate=RATE_HZ, padding=True, dac_version="1.0.0",
        ).save(Path(folder) / "x.dac")  # fmt: skip
        result["kbps"] = 8 * stored.stat().st_size / seconds / 1000
    assert np.isfinite(result["encode"])
    return result


SUBJECTS = {
    "ours": lambda seconds: ours(seconds, shipped=False),
    "ours, shipped small model": lambda seconds: ours(seconds, shipped=True),
    "stock, 16 channels": lambda seconds: stock(seconds, 16),
    "stock, mono": lambda seconds: stock(seconds, 1),
}


def measured(subject: str, seconds: float) -> dict | str:
    """Result of a measurement in a process of its own, or a message about how it failed."""
    words = [sys.executable, __file__, "--child", subject, "--seconds", str(seconds)]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    if done.returncode:
        return f"failed (status {done.returncode}): {done.stderr.strip().splitlines()[-1:] or 'killed'}"
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, results: list[dict], times: int = 1) -> str:
    """One line of the table: medians over the rounds, multiplied by `times`."""
    median = {key: statistics.median(r[key] for r in results) for key in ("encode", "decode", "memory", "kbps")}
    return (
        f"{name:28}{times * median['encode']:12.3f}{times * median['decode']:12.3f}{median['memory']:12.0f}"
        f"{times * median['kbps']:12.2f}   {results[0].get('chunks', '')}"
    )


def ratio(results: dict[str, list], key: str) -> str:
    """Median and range over the rounds of the stock package's time divided by ours."""
    ratios = [s[key] / o[key] for s, o in zip(results["stock, 16 channels"], results["ours"], strict=True)]
    return f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--long", type=float, default=0.0, metavar="SECONDS")
    arguments.add_argument("--child", choices=SUBJECTS, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        print(json.dumps(SUBJECTS[given.child](given.seconds)))
        return

    subjects = ["ours", "ours, shipped small model"]
    subjects += ["stock, 16 channels", "stock, mono"] if "STOCK_DAC" in os.environ else []
    results: dict[str, list] = {name: [] for name in subjects}
    for number in range(given.rounds):
        for name in subjects:
            print(f"round {number + 1}/{given.rounds}: {name}", file=sys.stderr, flush=True)
            results[name].append(measured(name, given.seconds))
    print(f"\n{given.seconds:g} s, median of {given.rounds}, {os.cpu_count()} cores; times in s per s of audio")
    print(f"{'':28}{'encode':>12}{'decode':>12}{'memory/MB':>12}{'kbit/s':>12}   pieces against whole")
    for name, found in results.items():
        print(row(name, found) if all(isinstance(r, dict) for r in found) else f"{name:28}{found[0]}")
    if "stock, mono" in results and all(isinstance(r, dict) for r in results["stock, mono"]):
        print(row("stock, 16 x mono (counted)", results["stock, mono"], 16))
    if all(isinstance(r, dict) for name in ("ours", "stock, 16 channels") for r in results.get(name, [""])):
        for verb in ("encode", "decode"):
            print(
                f"{verb}: {ratio(results, verb)} as fast as stock; processor time {ratio(results, verb + '_cpu')}"
            )
    if given.long:
        print(f"{given.long:g} s, with {available_bytes() / 1e9:.0f} GB of memory at hand:")
        for name in [name for name in subjects if name in ("ours, shipped small model", "stock, 16 channels")]:
            found = measured(name, given.long)
            print(row(name, [found]) if isinstance(found, dict) else f"{name:28}{found}")


if __name__ == "__main__":
    main()
