"""The import contracts of pyproject.toml: kept by the tree, and each broken by the import that it forbids."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "codec", "hoa", "listening", "render", "stimuli")
OFFENCES = {
    "Between packages an arrow goes down only": ("render/hoa/scene.py", "import stimuli.eigenscape.corpus"),
    "The library imports no command": ("codec/training/state.py", "import codec.train"),
    "No command imports another": ("listening/export.py", "import listening.build"),
    "render.common imports nothing of ours": ("render/common/files.py", "import render.hoa.scene"),
    "render: decoders stand on files, files on signal processing, that on scenes": (
        "render/dsp/erb.py", "import render.fileio.pcm",
    ),
    "codec: the paper's network knows nothing of what is around it": (
        "codec/rvqgan/generator.py", "import codec.side_info.klt",
    ),
    "codec.bitstream needs NumPy only": ("codec/bitstream/file.py", "import torch"),
    "analysis: from ratings up to reports": ("analysis/ratings/table.py", "import analysis.statistics.anova"),
    "listening: from designs and conditions up to packages and cards": (
        "listening/conditions/anchors.py", "import listening.packaging.webmushra",
    ),
    "listening: the codec is touched by its condition and its card only": (
        "listening/packaging/webmushra.py", "import codec.coding.pipeline",
    ),
    "listening: a test that runs needs no build and no web framework": (
        "listening/sessions/__init__.py", "import starlette.applications",
    ),
    "No folder is part of a circle": ("render/hoa/layout.py", "import render.loudspeakers.design"),
}  # fmt: skip


def verdicts(folder):
    """Contract -> KEPT or BROKEN, as import-linter prints them."""
    command = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run(
        [command, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return dict(re.findall(r"^(.+?) ?(KEPT|BROKEN)$", answer.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def offending(tmp_path_factory):
    """A copy of the packages with one forbidden import for each contract."""
    folder = tmp_path_factory.mktemp("tree")
    for source in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for path, line in OFFENCES.values():
        with open(folder / path, "a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    return folder


def test_there_is_an_offence_for_each_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [contract["name"] for contract in contracts] == list(OFFENCES)


def test_the_tree_keeps_every_contract():
    assert verdicts(ROOT) == dict.fromkeys(OFFENCES, "KEPT")


def test_each_contract_is_broken_by_what_it_forbids(offending):
    assert verdicts(offending) == dict.fromkeys(OFFENCES, "BROKEN")
