"""docs/tutorial.md: every line runs on what ``make stimuli`` leaves, and prints what the page shows.

The build that the page works on is made here of short noise, without the codec: what the page shows of ratings
depends on the names of items and conditions only.
"""

import doctest
import importlib
import io
import json
import re
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from listening.test_design.test_plan import load_plan
from render.common.cli import run
from render.common.files import sha256, write_json
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics
from stimuli.eigenscape.corpus import CLASSES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|text)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def noise_from_around(order, frames, seed):
    """Independent noise from six directions, (channel, time)."""
    gains = spherical_harmonics(order, *fibonacci_sphere(6))
    return gains.T @ (0.03 * np.random.default_rng(seed).standard_normal((6, frames)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as ``make stimuli`` leaves it."""
    folder = tmp_path_factory.mktemp("tutorial")
    scene = Scene(noise_from_around(4, 24_000, 0).astype(np.float32), 48_000)
    write_scene(folder / "data/synthetic/seed-1/Beach.8.wav", scene, "PCM_24")
    plan, items = load_plan("demo"), {}
    for number, item in enumerate(CLASSES):
        made = {}
        scene = Scene(noise_from_around(3, 13_230, number).astype(np.float32), 44_100)
        for condition in plan.conditions:
            path = folder / f"out/demo/scenes/{item}/{condition}.w64"
            write_scene(path, scene)
            made[condition] = {"file": f"scenes/{item}/{condition}.w64", "sha256": sha256(path)}
        items[item] = {"material": "synthetic", "conditions": made}
    write_json(folder / "out/demo/manifest.json", {"plan": json.loads(json.dumps(asdict(plan))), "items": items})
    return folder


def printed(words):
    """Run ``python -m module ...`` in this process; what it prints on both streams."""
    module, output = importlib.import_module(words[2]), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(io.StringIO()):
        patch.setattr(sys, "argv", words[2:])
        run(module.main)
    return output.getvalue()


def test_every_line_of_the_page_runs_and_prints_what_stands_there(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", "")  # no Chromium: a PDF takes seconds
    # In this process: starting others takes longer than the work
    monkeypatch.setattr(
        "listening.packaging.package.in_parallel", lambda f, jobs, *_: ((k, f(*a)) for k, a in jobs.items())
    )
    assert printed(["python", "-m", "listening.export"])
    output = ""
    for kind, text in BLOCKS:
        if kind == "text":
            shown, printed_text = text.strip() + "\n", output.strip() + "\n"
            assert doctest.OutputChecker().check_output(shown, printed_text, doctest.ELLIPSIS), output
            continue
        output = ""
        for line in text.replace("\\\n", " ").splitlines():
            line, _, target = line.partition(" > ")
            words = shlex.split(line)
            if words[0] == "make":
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            elif words[0] == "cat":
                output += Path(words[1]).read_text()
            elif words[0] == "python":
                answer = printed(words)
                if target:
                    Path(target).write_text(answer)
                else:
                    output += answer
            else:
                assert line == "source .venv/bin/activate"
    report = Path("out/demo/report.html").read_text()
    assert "SIMULATED RATINGS" in report
    assert {"mushra.pdf", "differences.pdf", "tables.tex"} <= {
        path.name for path in Path("out/demo/analysis").iterdir()
    }
