"""The spatial layer with Opus or noise: rate, which waveform is kept, levels, files."""

import numpy as np
import pytest

from codec.bitstream.sizes import packet_frame_counts, side_info_bytes
from listening.conditions import layer_opus
from listening.conditions.parametric_file import OVERHEAD_BYTES, parse
from listening.conditions.registry import condition
from render.common.errors import InputError
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import acn_orders, spherical_harmonics

RATE = 44_100
SECONDS = 4.5


@pytest.fixture(scope="module")
def scene():
    """A voice-like tone from the left over isotropic noise 20 dB under it, with a pause."""
    random, time_s = np.random.default_rng(1), np.arange(round(SECONDS * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 200 * k * time_s) / k for k in range(1, 12)) * 0.03
    tone *= np.where((time_s > 3) & (time_s < 4), 0.01, 1)
    gains = spherical_harmonics(3, np.radians([70.0]), np.zeros(1))[0]
    noise = random.standard_normal((16, len(time_s))) / np.sqrt(2 * acn_orders(3) + 1)[:, None]
    return Scene((gains[:, None] * tone + 0.003 * noise).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def coded(scene):
    return condition("layer_opus_16").apply(scene)


@pytest.fixture(scope="module")
def only(scene):
    return condition("layer_only").apply(scene)


@pytest.mark.parametrize(("kbps", "count"), [(10, 1), (16, 1), (28, 1), (29, 2), (32, 2), (64, 4), (160, 12)])
def test_components_by_rate(kbps, count):
    assert layer_opus.components(kbps) == count


def test_all_bytes_have_the_rate_and_the_side_information_is_that_of_the_codec(scene, coded, only):
    assert 8 * len(coded.payload) / SECONDS / 1000 == pytest.approx(16, rel=2e-3)
    side = sum(side_info_bytes(16, frames) for frames in packet_frame_counts(-(-scene.length // 512)))
    assert len(parse(coded.payload, b"LYOP", "x").side_info) == side
    assert len(only.payload) == OVERHEAD_BYTES + side
    assert 8 * len(only.payload) / SECONDS / 1000 < 4.4


def test_opus_keeps_the_waveform_of_the_strongest_source_and_noise_does_not(scene, coded, only):
    inner = slice(RATE, 2 * RATE)
    for made, low, high in ((coded, 0.9, 1.0), (only, -0.3, 0.3)):
        assert made.scene.samples.shape == scene.samples.shape
        for channel in (0, 1):
            found = np.corrcoef(scene.samples[channel, inner], made.scene.samples[channel, inner])[0, 1]
            assert low < found <= high


@pytest.mark.parametrize("made", ["coded", "only"])
def test_levels_and_correlations_are_those_of_the_scene(scene, made, request):
    samples = request.getfixturevalue(made).scene.samples.astype(np.float64)
    for part, tolerance_db in ((slice(RATE, 3 * RATE), 1.0), (slice(round(3.2 * RATE), round(3.8 * RATE)), 3.0)):
        powers = [np.square(of[:, part].astype(np.float64)).mean(axis=1) for of in (scene.samples, samples)]
        strong = np.square(spherical_harmonics(3, np.radians([70.0]), np.zeros(1))[0]) > 0.02
        assert 10 * np.log10(powers[1] / powers[0])[strong] == pytest.approx(
            np.zeros(strong.sum()), abs=tolerance_db
        )
    whole = slice(RATE, 3 * RATE)
    found, expected = (np.corrcoef(of[[0, 1, 3], whole]) for of in (samples, scene.samples))
    assert found == pytest.approx(expected, abs=0.1)


def test_the_gain_makes_it_independent_of_the_level(scene, only):
    gain = np.float32(10 ** (-12 / 20))  # in the header's steps
    quiet = condition("layer_only").apply(Scene(scene.samples * gain, RATE))
    gains = [parse(made.payload, b"LYOP", "x").gain_q8_db for made in (only, quiet)]
    assert gains[1] - gains[0] == 12 * 256
    difference = quiet.scene.samples / gain - only.scene.samples
    assert np.square(difference).sum() < 1e-3 * np.square(only.scene.samples).sum()


def test_the_rendition_is_that_of_the_bytes(coded):
    again = layer_opus.decode(coded.payload)
    lag = coded.facts["lag_compensated_samples"]
    np.testing.assert_array_equal(np.roll(again.samples, -lag, axis=1), coded.scene.samples)


def test_what_is_refused(scene, only):
    with pytest.raises(InputError, match="9 kbit/s; possible are 10 to 160"):
        condition("layer_opus_9")
    with pytest.raises(InputError, match="are left for"):
        condition("layer_opus_10").apply(Scene(scene.samples[:, :3000], RATE))
    wrong = parse(only.payload, b"LYOP", "x")
    short = wrong.__class__(16, RATE, scene.length, 0, wrong.side_info[:-1]).pack(b"LYOP")
    with pytest.raises(InputError, match=r"y: .* bytes of side information, not"):
        layer_opus.decode(short, "y")
