"""Mel and STFT distances: the published code's values, torch's, closed forms."""

import numpy as np
import pytest

from analysis.metrics import selftest, spectral
from analysis.metrics.framing import LARGEST, array_reader, segments
from analysis.metrics.registry import measure, measure_all
from render.common.errors import InputError
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import mirror_signs


def pair(rate_hz):
    """Pink noise and a copy with other gains, noise and a silent channel."""
    rng = np.random.Generator(np.random.Philox(11))
    made = []
    for rate in (44100, 48000):
        x = rng.standard_normal((4, rate))
        spectrum = np.fft.rfft(x)
        x = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 20)), rate)
        x *= 0.05 / np.sqrt(np.mean(np.square(x)))
        y = x * np.array([[1.0], [0.7], [1.2], [0.0]])
        y += 0.005 * rng.standard_normal((4, rate)) * np.array([[1], [1], [0], [0]])
        made.append((Scene(x.astype(np.float32), rate), Scene(y.astype(np.float32), rate)))
    return made[rate_hz == 48000]


# descript-audio-codec 1.0.0, dac.nn.loss on audiotools 0.7.2's AudioSignal (librosa's mel filters), torch 2.13:
# MelSpectrogramLoss as in conf/final (pow 1, mag_weight 0), its defaults, and MultiScaleSTFTLoss's defaults
STOCK = {
    44100: {"mel_train": 4.519536018, "mel_eval": 3.564853430, "stft_eval": 5.470151901},
    48000: {"mel_train": 4.385161400, "mel_eval": 3.523649931, "stft_eval": 5.461815834},
}


@pytest.mark.parametrize("rate_hz", STOCK)
def test_the_published_codecs_values(rate_hz):
    found = measure(*pair(rate_hz))
    assert {name: found[name] for name in STOCK[rate_hz]} == pytest.approx(STOCK[rate_hz], rel=1e-6)


def test_the_level_distance_of_unrelated_noises_is_that_of_full_scale_up_to_the_largest_samples():
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 4, 5000)).astype(np.float32)
    loud = spectral.evaluate(x * np.float32(LARGEST), y * np.float32(LARGEST), 44100)
    assert loud["lsd_db"] == pytest.approx(spectral.evaluate(x, y, 44100)["lsd_db"], rel=1e-5)
    assert loud["lsd_db"] > 6
    for above, whose in (((x, y * np.float32(1.1e12)), "test"), ((x * np.float32(-1e38), y), "reference")):
        with pytest.raises(InputError, match=f"^{whose}: .* in channel 0 at sample"):
            spectral.evaluate(*above, 44100)


@pytest.mark.parametrize("frames", [5000, 44100])
def test_torch_and_numpy_are_each_others_oracle(frames):
    import torch

    from codec.losses.mel import mel_distance

    rng = np.random.default_rng(frames)
    x = (0.1 * rng.standard_normal((4, frames))).astype(np.float32)
    y = x + 0.02 * rng.standard_normal((4, frames)).astype(np.float32) * np.float32([[1], [2], [0], [4]])
    theirs = mel_distance(torch.tensor(x)[None], torch.tensor(y)[None], 44100).item()
    assert measure(Scene(x, 44100), Scene(y, 44100))["mel_train"] == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000, 192000])
@pytest.mark.parametrize(("window", "bands"), spectral.TRAINING_SCALES)
def test_mel_filters_are_those_of_training(rate_hz, window, bands):
    from codec.losses.mel import mel_filter_bank

    filters = spectral.mel_filter_bank(rate_hz, window, bands)
    assert np.allclose(filters, mel_filter_bank(rate_hz, window, bands), atol=1e-12)


SCENE = selftest.scene(0.7)


def changed(matrix):
    return Scene((matrix @ SCENE.samples).astype(np.float32), SCENE.sample_rate_hz)


def test_blind_to_a_mirror_and_to_polarity():
    found = measure_all(SCENE, {"mirror": changed(np.diag(mirror_signs(3))), "polarity": changed(-np.eye(16))})
    for name in ("mel_train", "mel_W", "mel_eval", "stft_eval", "lsd_db"):
        assert found["mirror"][name] == found["polarity"][name] == 0
    assert found["polarity"]["mel_ls"] == 0
    assert found["mirror"]["mel_ls"] > 0.1  # the loudspeakers change sides


def test_a_gain_costs_its_logarithm_in_every_scale():
    """log10 of the gain in each of seven scales, less what the clamp at 1e-5 hides: nothing at this level."""
    loud = Scene(SCENE.samples * np.float32(10), SCENE.sample_rate_hz)
    louder = Scene(SCENE.samples * np.float32(20), SCENE.sample_rate_hz)
    found = measure(loud, louder)
    assert found["mel_train"] == pytest.approx(7 * np.log10(2), rel=0.02)
    assert found["lsd_db"] == pytest.approx(20 * np.log10(2), rel=0.02)


def test_silence_is_compared_down_to_the_clamp():
    """Sine at full scale of window's mel band against silence: everything is finite."""
    found = measure(SCENE, Scene(0 * SCENE.samples, SCENE.sample_rate_hz))
    assert 0 < found["mel_train"] < 7 * 6
    assert 0 < found["lsd_db"] <= 100


def test_loudspeakers_are_the_projects_own_feeds():
    """mel_ls decodes spectra: it is mel_train of the eleven feeds of 7.1.4."""
    from render.hoa.layout import layout
    from render.loudspeakers.renderer import decode

    test = changed(np.diag(np.linspace(1, 0.3, 16)))
    feeds = [decode(of, layout("7.1.4")).samples for of in (SCENE, test)]
    lfe = [speaker.is_lfe for speaker in layout("7.1.4").loudspeakers].index(True)
    import torch

    from codec.losses.mel import mel_distance

    a, b = (torch.tensor(np.delete(feed, lfe, axis=0))[None] for feed in feeds)
    assert measure(SCENE, test)["mel_ls"] == pytest.approx(
        mel_distance(a, b, SCENE.sample_rate_hz).item(), rel=1e-4
    )


def test_the_largest_power_is_that_of_the_whole():
    parts = segments(array_reader(SCENE.samples), SCENE.length, SCENE.sample_rate_hz)
    largest = max(spectral.largest_power(part) for part in parts)
    spectrum = np.abs(np.fft.rfft(SCENE.samples[:, :2048])).max() ** 2
    assert largest > 0.05 * spectrum


def test_every_channel_of_a_scene_of_fourth_order():
    """25 channels are two groups of 16: the mean over them is that of each channel measured alone."""
    rng = np.random.default_rng(4)
    x, y = (0.1 * rng.standard_normal((25, 3000)).astype(np.float32) for _ in range(2))
    found = spectral.evaluate(x, y, 44100)
    alone = [spectral.evaluate(x[[n]], y[[n]], 44100) for n in range(25)]
    for name in ("mel_train", "mel_eval", "stft_eval"):
        assert found[name] == pytest.approx(np.mean([of[name] for of in alone]), rel=1e-6)


def test_log_mel_of_the_shared_spectrum():
    part = next(segments(array_reader(SCENE.samples), SCENE.length, SCENE.sample_rate_hz))
    mel = np.abs(part.field) @ spectral.mel_filter_bank(SCENE.sample_rate_hz, 2048, 80).T
    assert np.allclose(spectral.log_mel(part, 80), np.log10(np.maximum(mel, 1e-5)), atol=2e-4)
