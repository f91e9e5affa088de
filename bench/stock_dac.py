"""Import Descript's own package without its dependencies.

`descript-audio-codec` 1.0.0 cannot be imported beside a current PyTorch: its `audiotools` requires torchaudio, an
old protobuf and eighty more packages. The network needs none of them. Unpack the wheels without their
dependencies,

    pip install --no-deps --target DIR descript-audio-codec==1.0.0 descript-audiotools==0.7.2 einops tqdm

and `stock(DIR)` returns the package's unchanged `DAC` and `DACFile`. `AudioSignal` and `STFTParams`, which the
network does not use, are replaced by empty classes; functions that need an `AudioSignal` (compress, decompress)
are not available.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple


class Stock(NamedTuple):
    """The parts of the package that are used."""

    DAC: Any
    DACFile: Any
    layers: Any
    quantize: Any


def stock(folder: Path) -> Stock:
    """Import the package from the folder that `pip install --target` made."""
    if not (folder / "dac" / "model").is_dir():
        raise FileNotFoundError(f"{folder}: no descript-audio-codec; see the docstring of {__name__}")
    sys.path.append(str(folder))  # einops and tqdm; what is installed anyway comes first
    base_spec = spec_from_file_location("stock_base_model", folder / "audiotools" / "ml" / "layers" / "base.py")
    if base_spec is None or base_spec.loader is None:
        raise FileNotFoundError(f"{folder}: no descript-audiotools")
    base = module_from_spec(base_spec)
    base_spec.loader.exec_module(base)
    empty = {name: type(name, (), {}) for name in ("AudioSignal", "STFTParams")}
    ml = _module("audiotools.ml", BaseModel=base.BaseModel)
    _module("audiotools", ml=ml, **empty)
    _module("dac").__path__ = [str(folder / "dac")]  # skip its __init__, which imports the command lines
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated
        model, layers, quantize = (
            importlib.import_module(f"dac.{name}") for name in ("model", "nn.layers", "nn.quantize")
        )
    return Stock(model.DAC, model.DACFile, layers, quantize)


def multichannel(package: Stock, channels: int, **settings: Any) -> Any:
    """Return the stock network with C channels in its first and last convolution and no Tanh, as in the paper."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old weight norm is deprecated
        model = package.DAC(**settings)
        first, last = model.encoder.block[0], model.decoder.model[-2]
        model.encoder.block[0] = package.layers.WNConv1d(channels, first.out_channels, kernel_size=7, padding=3)
        end = package.layers.WNConv1d(last.in_channels, channels, kernel_size=7, padding=3)
        model.decoder.model = torch.nn.Sequential(*model.decoder.model[:-2], end)
    return model


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(contents)
    sys.modules[name] = module
    return module
