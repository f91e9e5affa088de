"""AMBIQUAL: the published program's values, and why not to trust them."""

import numpy as np
import pytest
from scipy.ndimage import convolve

from analysis.metrics import ambiqual, selftest
from analysis.metrics.registry import measure, measure_all
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import yaw_matrix

# QxLabIreland/Ambiqual eb9ed41 with OpenCV 4.10.0 on the scenes of `program_scenes`: LQ, LA
PROGRAM = [(0.9759702312432028, 0.24678496829167657), (0.9575682791510973, 0.7284033865337116)]


def program_scenes():
    """Noise and a coloured noisy copy that begins with silence: first order at 48 kHz, third at 44.1 kHz."""
    rng = np.random.Generator(np.random.Philox(12))
    for channels, rate_hz, frames in ((4, 48000, 200_000), (16, 44100, 100_000)):
        x = rng.standard_normal((channels, frames)) * 0.05
        noise = rng.standard_normal((channels, frames)) * 0.02
        y = x + noise * np.arange(channels)[:, None] / channels + 0.01 * np.roll(x, 3, axis=1)
        x[:, :5000] = 0
        y[:, :3000] = 0
        yield Scene(x.astype(np.float32), rate_hz), Scene(y.astype(np.float32), rate_hz)


def test_the_published_programs_values():
    for (reference, test), (lq, la) in zip(program_scenes(), PROGRAM, strict=True):
        found = ambiqual.evaluate(reference.samples, test.samples, reference.sample_rate_hz)
        assert found["aq_lq"] == pytest.approx(lq, rel=1e-12)
        assert found["aq_la"] == pytest.approx(la, rel=1e-12)


def test_similarity_is_the_programs():
    """NSIM with the program's 3 x 3 kernel by SciPy, mean over 32 bands of the means over their bins."""
    kernel = np.array([[0.0113, 0.0838, 0.0113], [0.0838, 0.6193, 0.0838], [0.0113, 0.0838, 0.0113]])
    a, b = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, 2, 30, 640, 16))
    b[..., 8:] = 0.8 * a[..., 8:] + 0.1 * b[..., 8:]

    def smooth(patch):
        return convolve(patch, kernel / kernel.sum(), mode="reflect")

    c1, c3 = (0.01 * 2 * np.pi) ** 2, (0.03 * 2 * np.pi) ** 2 / 2
    found = ambiqual.similarities(a, b)
    for patch, lane in ((0, 0), (1, 15)):
        x, y = (of[patch, :, :, lane].T for of in (a, b))
        mx, my = smooth(x), smooth(y)
        vx, vy = smooth(x * x) - mx * mx, smooth(y * y) - my * my
        level = (2 * mx * my + c1) / (mx * mx + my * my + c1)
        structure = (smooth(x * y) - mx * my + c3) / (np.sqrt(vx * vy) + c3)
        by_bin = (level * structure).mean(axis=1)
        bands = [of.mean() for of in np.split(by_bin, np.cumsum(ambiqual._BAND_BINS)[:-1])]
        assert found[patch, lane] == pytest.approx(np.mean(bands), rel=1e-12)


def test_it_hears_phase_and_nothing_but_phase():
    """One sample of delay costs a third, a quarter turn and 20 dB of gain nothing."""
    scene = selftest.scene(1.2)
    tests = {
        "delay": np.roll(scene.samples, 1, axis=1),
        "turn": yaw_matrix(3, np.pi / 2) @ scene.samples,
        "gain": 0.1 * scene.samples,
        "polarity": -scene.samples,
    }
    found = measure_all(scene, {name: Scene(y.astype(np.float32), 44100) for name, y in tests.items()})
    assert found["delay"]["aq_lq"] < 0.7
    assert found["turn"]["aq_lq"] == pytest.approx(1)
    assert found["gain"]["aq_lq"] == pytest.approx(1, abs=1e-3)
    assert found["polarity"]["aq_lq"] < 0.3


@pytest.mark.parametrize(("channels", "frames"), [(9, 60_000), (1, 60_000), (16, 30 * 768)])
def test_not_applicable_is_empty(channels, frames):
    """The program knows orders 1 and 3, and needs more than one patch of frames."""
    x = np.random.default_rng(0).standard_normal((channels, frames)).astype(np.float32) * 0.1
    assert measure(Scene(x, 44100), Scene(x, 44100))["aq_la"] is None
