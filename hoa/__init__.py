"""Code, render, measure and test Ambisonic scenes from Python: ``import hoa``.

>>> import hoa
>>> import numpy as np
>>> noise = 0.1 * np.random.default_rng(0).standard_normal((16, 24_000))
>>> scene = hoa.Scene.from_array(noise, 48000)
>>> model = hoa.load()
>>> decoded = model.decode(model.encode(scene, kbps=10))
>>> hoa.render(decoded, "7.1.4").samples.shape
(12, 24000)
>>> 0 < hoa.measures.covariance_distance(scene, decoded) < 240
True

It is a package of its own because the roots of the others hold commands: ``render.decode`` is the module that
``python -m render.decode`` runs, and Python would put that module in the place of a function of the same name as
soon as it is imported. Everything is loaded when it is first used, so that ``import hoa`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Any

run_path(str(Path(__file__).parents[1] / "render/common/package_roots.py"))

if TYPE_CHECKING:
    from analysis.metrics import named as measures
    from analysis.metrics.named import compare
    from analysis.study.rating_frame import summarise
    from codec.coding.model import Model, Stream, Tokens, load
    from hoa.rendering import binaural, render
    from listening.conditions.anchors import low_anchor, mid_anchor
    from render.common.errors import InputError
    from render.fileio.audio_file import write_feed, write_scene
    from render.fileio.scene_file import read_scene
    from render.hoa.scene import Feed, Scene

__all__ = [
    "Feed", "InputError", "Model", "Scene", "Stream", "Tokens", "__version__", "binaural", "compare", "load",
    "low_anchor", "measures", "mid_anchor", "read_scene", "render", "summarise", "write_feed", "write_scene",
]  # fmt: skip

_MODULES = {
    "analysis.metrics.named": ("compare",),
    "analysis.study.rating_frame": ("summarise",),
    "codec.coding.model": ("Model", "Stream", "Tokens", "load"),
    "hoa.rendering": ("binaural", "render"),
    "listening.conditions.anchors": ("low_anchor", "mid_anchor"),
    "render.common.errors": ("InputError",),
    "render.fileio.audio_file": ("write_feed", "write_scene"),
    "render.fileio.scene_file": ("read_scene",),
    "render.hoa.scene": ("Feed", "Scene"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("hoa-rvqgan")
    if name == "measures":
        return import_module("analysis.metrics.named")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hoa' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
