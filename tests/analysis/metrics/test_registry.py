"""One public call for each module: together they give all measures, with the same values."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.metrics import (
    ambiqual,
    banded,
    covariance,
    fine_structure,
    interaural,
    noise_texture,
    onsets,
    spatial,
    spectral,
    tonality,
    waveform,
)
from analysis.metrics.framing import LENGTH
from analysis.metrics.registry import MEASURES, by_name, columns, measure
from analysis.metrics.selftest import changes, scene
from render.hoa.scene import Scene

MODULES = (
    covariance, waveform, spectral, spatial, banded, interaural, ambiqual, fine_structure, onsets, tonality,
    noise_texture,
)  # fmt: skip


GOLDEN = Path(__file__).parents[2] / "golden" / "measures.json"
"""All measures of the self-test's scene with noise at 20 dB, by NumPy and SciPy alone."""


def test_the_values_are_those_of_plain_numpy():
    reference = scene()
    test = changes()["noise at 20 dB SNR"](reference.samples.astype(float)).astype(np.float32)
    expected = json.loads(GOLDEN.read_text())
    found = measure(reference, Scene(test, 44100))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_the_modules_and_the_registry_give_the_same_values():
    reference = scene((LENGTH + 5000) / 44100)  # two segments
    noise = 0.01 * np.random.default_rng(0).standard_normal(reference.samples.shape)
    test = Scene((reference.samples + noise).astype(np.float32), 44100)
    expected = measure(reference, test)
    found = {}
    for module in MODULES:
        values = module.evaluate(reference.samples, test.samples, 44100)
        assert not found.keys() & values.keys()
        found |= values
    expected.pop("silent_channels")  # not a measure of one module, but a count of lost channels
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (value if value is None else pytest.approx(value, rel=1e-9)), name


def test_names_are_unique_and_columns_are_in_their_order():
    assert len(by_name()) == len(MEASURES)
    assert columns([{"kbps": 1.0, "cov_sum": None}, {"mel_train": 0.0}]) == ["mel_train", "kbps"]
