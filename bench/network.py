"""Time one way to compute the paper's network, in a process of its own: python -m bench.network SUBJECT.

The network has 64 million parameters, random weights of a fixed seed, and 16 channels. Encoder and decoder are
timed without quantiser and bit stream, since the peers have none. The result is JSON: processor time and time on
the clock in seconds per second of audio, and the largest memory of the process in MB while it encodes, forgets the
encoder, and decodes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from codec.checkpoints.model_file import load, save
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.layers import Block, Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.streaming import torch_layers, vector_layers
from codec.streaming.stream_layers import TILE_FRAMES, Stream, StreamLayer, stream_layers

CONFIG = ModelConfig()
CLEAR_PEAK = Path("/proc/self/clear_refs")
Network = Callable[[np.ndarray], np.ndarray]  # (channel, time) to (channel, time)


def model() -> RVQGAN:
    """The paper's network with the weights that all but the stock package get."""
    torch.manual_seed(0)
    return RVQGAN(CONFIG, weight_norm=False).eval().requires_grad_(False)


def streamed(computed_by: Any, threads: int) -> tuple[Network, Network]:
    """Return encoder and decoder of this repository."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.safetensors"
        save(path, model(), {}, exact=True)
        network, _ = load(path, streamed=True)

    def runs(layers: nn.Sequential, channels: int, tile: int) -> Network:
        prepared: list[StreamLayer] = []

        def run(x: np.ndarray) -> np.ndarray:
            prepared[:] = prepared or stream_layers(layers, computed_by, network.stored)
            stream = Stream(prepared, channels, tile, threads)
            rows = torch.from_numpy(np.ascontiguousarray(x.T))
            return torch.cat([*stream.push(rows), *stream.finish()]).numpy().T

        return run

    encoder = runs(network.encoder.block, CONFIG.channels, TILE_FRAMES * CONFIG.hop)
    return encoder, runs(network.decoder.model, CONFIG.latent_dim, TILE_FRAMES)


def stock(folder: Path, threads: int) -> tuple[Network, Network]:
    """Return encoder and decoder of Descript's package, with 16 channels at both ends."""
    from bench.stock_dac import multichannel
    from bench.stock_dac import stock as package_of

    torch.set_num_threads(threads)
    settings = dict(
        encoder_dim=64, encoder_rates=[2, 4, 8, 8], latent_dim=128, decoder_dim=1536, decoder_rates=[8, 8, 4, 2],
        n_codebooks=18, codebook_size=1024, codebook_dim=8, quantizer_dropout=0.5, sample_rate=44_100,
    )  # fmt: skip
    network = multichannel(package_of(folder), CONFIG.channels, **settings).eval()

    def runs(module: nn.Module) -> Network:
        @torch.no_grad()
        def run(x: np.ndarray) -> np.ndarray:
            return module(torch.from_numpy(x)[None])[0].numpy()

        return run

    return runs(network.encoder), runs(network.decoder)


def onnx_bytes(layers: nn.Sequential, channels: int, time_steps: int, folder: Path) -> bytes:
    """Return the encoder or the decoder as an ONNX graph, of a fixed length, which the runtimes optimise best."""
    sys.path.append(str(folder))
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), f"c{len(constants)}"))
        return constants[-1].name

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def layer(x: str, module: nn.Module) -> str:
        if isinstance(module, Block | nn.Sequential):
            for part in module.block if isinstance(module, Block) else module:
                x = layer(x, part)
            return x
        if isinstance(module, ResidualUnit):
            return add("Add", x, layer(x, module.block))
        if isinstance(module, Snake1d):
            alpha = module.alpha.numpy()
            sine = add("Sin", add("Mul", x, constant(alpha)))
            return add("Add", x, add("Mul", add("Mul", sine, sine), constant(1 / (alpha + 1e-9))))
        assert isinstance(module, Conv1d | ConvTranspose1d)
        kind = "Conv" if isinstance(module, Conv1d) else "ConvTranspose"
        weights = [constant(parameter.numpy()) for parameter in (module.weight, module.bias)]
        pads = [int(module.padding[0])] * 2
        return add(kind, x, *weights, strides=[module.stride[0]], dilations=[module.dilation[0]], pads=pads)

    last = layer("x", layers)
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, time_steps])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)], constants,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def onnxruntime(folder: Path, threads: int, frames: int) -> tuple[Network, Network]:
    """Return encoder and decoder in ONNX Runtime."""
    network = model()

    def runs(layers: nn.Sequential, channels: int, time_steps: int) -> Network:
        graph = onnx_bytes(layers, channels, time_steps, folder)
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"x": x[None]})[0][0]

    encoder = runs(network.encoder.block, CONFIG.channels, frames * CONFIG.hop)
    return encoder, runs(network.decoder.model, CONFIG.latent_dim, frames)


def openvino(folder: Path, threads: int, frames: int, precision: str) -> tuple[Network, Network]:
    """Return encoder and decoder in OpenVINO, in "f32" or "bf16"."""
    network = model()

    def runs(layers: nn.Sequential, channels: int, time_steps: int) -> Network:
        graph = onnx_bytes(layers, channels, time_steps, folder)
        import openvino as ov

        core = ov.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
        compiled = core.compile_model(core.read_model(graph, b""), "CPU", settings)
        return lambda x: compiled(x[None])[0][0]

    encoder = runs(network.encoder.block, CONFIG.channels, frames * CONFIG.hop)
    return encoder, runs(network.decoder.model, CONFIG.latent_dim, frames)


def main() -> None:
    """Time encoder and decoder."""
    arguments = argparse.ArgumentParser("bench.network", description=__doc__)
    arguments.add_argument(
        "subject", choices=["ours", "ours-onednn", "stock", "onnxruntime", "openvino", "openvino-bf16"]
    )
    arguments.add_argument("--peer", type=Path, help="folder with the peer's packages")
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--times", type=int, default=1, help="calls, of which the fastest counts")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    frames = round(given.seconds * CONFIG.sample_rate_hz / CONFIG.hop)
    if given.subject.startswith("ours"):
        encoder, decoder = streamed(torch_layers if "onednn" in given.subject else vector_layers, given.threads)
    elif given.subject == "stock":
        encoder, decoder = stock(given.peer, given.threads)
    elif given.subject == "onnxruntime":
        encoder, decoder = onnxruntime(given.peer, given.threads, frames)
    else:
        precision = "bf16" if "bf16" in given.subject else "f32"
        encoder, decoder = openvino(given.peer, given.threads, frames, precision)

    random = np.random.default_rng(0)
    inputs = {
        "encode": (encoder, 0.05 * random.standard_normal((CONFIG.channels, frames * CONFIG.hop), np.float32)),
        "decode": (decoder, random.standard_normal((CONFIG.latent_dim, frames), np.float32)),
    }
    del encoder, decoder
    found: dict[str, Any] = {}
    if CLEAR_PEAK.exists():
        CLEAR_PEAK.write_text("5")  # forgets the peak while the network was made
    for verb in ("encode", "decode"):
        network, x = inputs.pop(verb)  # the encoder has been freed when the decoder runs
        y = network(x)  # so that all is compiled
        times = []
        for _ in range(given.times):
            processor, clock = time.process_time(), time.perf_counter()
            y = network(x)
            times.append((time.process_time() - processor, time.perf_counter() - clock))
        duration = frames * CONFIG.hop / CONFIG.sample_rate_hz
        found[verb] = [seconds / duration for seconds in min(times)]
        found[f"{verb} rms"] = float(np.sqrt(np.square(y, dtype=np.float64).mean()))
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        found["memory MB"] = int(peak.split()[1]) / 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
