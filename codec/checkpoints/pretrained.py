"""Where the model that comes with the package lies."""

from __future__ import annotations

from pathlib import Path

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "hoa16-small.safetensors"
