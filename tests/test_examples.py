"""The scripts of examples/ and what the documentation of the facade shows, run as they stand."""

import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hoa
from codec.bitstream.format import parse_header
from render.fileio.audio_file import info, write_scene
from render.fileio.scene_file import read_scene
from render.hoa.scene import Scene

ROOT = Path(__file__).parents[1]
DOCUMENTED = (
    "hoa", "hoa.rendering", "render.hoa.scene", "codec.coding.model", "analysis.metrics.named",
    "analysis.study.rating_frame", "listening.conditions.anchors",
)  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example in this process, since others would import PyTorch anew; what it prints."""

    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_encode_array(tmp_path, run):
    said = run("encode_array", tmp_path)
    header = parse_header((tmp_path / "noise.arvq").read_bytes(), "noise.arvq")
    assert header.origin[0::2] == (48_000, 4)
    assert 11 < float(re.search(r"([\d.]+) kbit/s", said)[1]) <= 12
    about = info(tmp_path / "decoded.wav")
    assert (about.channels, about.length, about.sample_rate_hz) == (16, 48_000, 48_000)


def test_render_scene(tmp_path, run):
    said = run("render_scene", tmp_path)
    assert "loudest loudspeaker: M+090\n" in said
    assert float(re.search(r"right ear: ([\d.]+) dB", said)[1]) > 5
    assert info(tmp_path / "click-7.1.4.wav").channels == 12


def test_compare_arrays(run):
    """Independent noise at s dB: eq. 3 shrinks every correlation r by about 1 / (1 + 10^(s/10)) of itself."""
    said = run("compare_arrays")
    eq3, cov_sum = (float(re.search(rf"{name}: ([\d.]+)", said)[1]) for name in ("eq. 3", "cov_sum"))
    assert eq3 == cov_sum
    # variances 1 (W) and 1.25, of the noise 0.25: r = 0.5 / sqrt(1.25) and 0.2 before, 0.5 / sqrt(1.25 · 1.5) and
    # 0.25 / 1.5 after
    expected = 15 * (0.5 / 1.25**0.5 - 0.5 / 1.875**0.5) + 105 * (0.2 - 0.25 / 1.5)
    assert eq3 == pytest.approx(expected, rel=0.1)


def test_confidence_intervals(run):
    """The table of the listeners' means against the t interval written out."""
    from scipy.stats import t

    rows = [line.split() for line in run("confidence_intervals").splitlines()]
    assert rows[0] == ["condition", "n", "mean", "ci_low", "ci_high", "median"]
    assert {row[0] for row in rows[1:5]} == {"href", "prop", "opus3_160", "la"}
    random, scores = np.random.default_rng(0), np.zeros((12, 3, 4))
    for index in np.ndindex(scores.shape):
        scores[index] = np.clip(random.normal((97, 78, 60, 20)[index[2]], 8), 0, 100)
    means = scores[:, :, 1].mean(axis=1)
    half = t.ppf(0.975, 11) * means.std(ddof=1) / 12**0.5
    (found,) = [row for row in rows[1:5] if row[0] == "prop"]
    expected = [36, means.mean(), means.mean() - half, means.mean() + half]
    assert [float(value) for value in found[1:5]] == pytest.approx(expected, abs=0.051)


def test_low_anchor(tmp_path, run):
    said = run("low_anchor", tmp_path)
    passed, stopped = (float(level) for level in re.findall(r"kHz (-?[\d.]+) dB", said))
    assert abs(passed) <= 0.1  # the mask of BS.1534-3
    assert stopped < -50
    assert info(tmp_path / "low_anchor.wav").length == 48_000


def test_tokens_of_folder(tmp_path, run):
    for name, length in (("a.wav", 22_050), ("b.wav", 30_000)):
        noise = 0.05 * np.random.default_rng(length).standard_normal((16, length))
        write_scene(tmp_path / name, Scene(noise.astype(np.float32), 44_100))
    assert "b.wav: 59 frames, 86.13 a second" in run("tokens_of_folder", tmp_path)
    frames = np.load(tmp_path / "tokens.npy")  # noqa: TID251, written a moment ago
    assert frames.shape == (44 + 1 + 59 + 1, 8)
    assert np.flatnonzero((frames < 0).any(axis=1)).tolist() == [44, 104]
    assert 0 <= frames[:44].min() <= frames.max() < 1024
    assert len(np.unique(frames)) > 100
    assert read_scene(tmp_path / "decoded" / "b.wav").length == 30_000


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_of_docstrings(name):
    import doctest

    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    found = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert found.attempted > 0
    assert found.failed == 0


def test_examples_of_the_page(tmp_path, monkeypatch):
    import doctest

    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0


def test_import_hoa_loads_nothing():
    probe = (
        "import sys, hoa; print(*(name for name in ('numpy', 'torch', 'scipy', 'pandas') if name in sys.modules));"
        "print(hoa.__version__)"
    )
    answer = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    first, second = answer.stdout.splitlines()
    assert first == ""
    assert re.fullmatch(r"\d+\.\d+\.\d+", second)


def test_all_names_of_hoa_are_there_beside_commands():
    for command in ("render.decode", "render.binaural", "analysis.mushra"):
        importlib.import_module(command)
    assert all(callable(getattr(hoa, name)) or name in ("measures", "__version__") for name in hoa.__all__)
    assert sorted(hoa.__all__) == sorted(set(hoa.__all__))


@pytest.mark.parametrize("package", ["analysis", "codec", "hoa", "listening", "render", "stimuli"])
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()
