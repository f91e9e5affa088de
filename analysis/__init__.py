"""Ratings to means, confidence intervals, tests and figures; objective measures of codecs."""

from pathlib import Path
from runpy import run_path

run_path(str(Path(__file__).parents[1] / "render/common/package_roots.py"))
