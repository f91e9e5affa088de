"""Scenes from arrays: axes by name, precision, conventions, and what is refused with a hint."""

import numpy as np
import pytest
import torch

from render.common.errors import InputError
from render.hoa.scene import Scene

SAMPLES = np.random.default_rng(0).uniform(-1, 1, (16, 50))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_both_orders_of_axes_and_any_precision_give_the_same_scene(dtype):
    given = SAMPLES.astype(dtype)
    for scene in (
        Scene.from_array(given, 48_000),
        Scene.from_array(given.T, 48_000.0, axes="time channel"),
        Scene.from_array(torch.from_numpy(given), np.int64(48_000)),
    ):
        assert scene.samples.dtype == np.float32
        assert scene.samples.flags.c_contiguous
        assert (scene.sample_rate_hz, scene.order) == (48_000, 3)
        np.testing.assert_array_equal(scene.samples, given.astype(np.float32))


def test_conventions_are_converted_by_their_definitions():
    """N3D is SN3D times sqrt(2n + 1); of first-order FuMa, W X Y Z, W is scaled by sqrt(1/2)."""
    n3d = SAMPLES * np.sqrt(2 * np.floor(np.sqrt(np.arange(16))) + 1)[:, None]
    np.testing.assert_allclose(Scene.from_array(n3d, 44_100, convention="n3d").samples, SAMPLES, atol=1e-6)
    w, y, z, x = SAMPLES[:4]
    fuma = np.stack([w / 2**0.5, x, y, z])
    np.testing.assert_allclose(Scene.from_array(fuma, 44_100, convention="fuma").samples, SAMPLES[:4], atol=1e-6)


@pytest.mark.parametrize(
    ("array", "given", "message"),
    [
        (SAMPLES.T, {}, r"50 channels are not.*the array is \(50, 16\): is it axes='time channel'\?"),
        (SAMPLES, {"axes": "time channel"}, "is it axes='channel time'"),
        (SAMPLES[:15], {}, r"15 channels are not an Ambisonic scene; possible are (?!.*is it axes)"),
        (SAMPLES, {"axes": "tc"}, "axes 'tc'; possible are"),
        (SAMPLES[0], {}, "need floating-point samples in two axes"),
        ((SAMPLES * 30_000).astype(np.int16), {}, "got int16 .* such as 32768"),
        (SAMPLES * 1j, {}, "need floating-point"),
        (SAMPLES * 1e300, {}, "inf in channel 0|in channel 0 at sample 0"),
        (SAMPLES, {"convention": "maxn"}, "convention 'maxn' is unknown"),
        (SAMPLES, {"sample_rate_hz": 44_100.5}, "a whole number is needed"),
        (SAMPLES, {"sample_rate_hz": 4_000}, "sample rate 4000 Hz"),
    ],
)
def test_what_is_no_scene_is_refused(array, given, message):
    with pytest.raises(InputError, match=message):
        Scene.from_array(array, **({"sample_rate_hz": 44_100} | given))
