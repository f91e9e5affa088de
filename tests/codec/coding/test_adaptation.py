"""Recordings of any rate and order into what a model codes and back, against scipy's resampler and by counting."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from codec.bitstream.format import Origin
from codec.coding.adaptation import Recording, adapted, length_at
from codec.coding.pipeline import make_header, summarise
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_part

CONFIG = ModelConfig(channels=4)


def recording(channels, rate_hz, length, frequency_hz=1000.0):
    t = np.arange(length) / rate_hz
    gains = np.arange(1, channels + 1)[:, None] / channels
    samples = (gains * np.sin(2 * np.pi * frequency_hz * t) * np.hanning(length)).astype(np.float32)
    return samples, Recording(channels, rate_hz, length, lambda: iter(np.array_split(samples, 7, axis=1)))


def test_a_scene_of_higher_order_and_rate_is_cut_and_resampled():
    samples, given = recording(9, 48_000, 48_000)
    signal = adapted(given, CONFIG, "x.wav")
    assert signal.origin == Origin(48_000, 0, 2)
    assert signal.changes == (
        "kept the first 4 of 9 channels, order 1 of 2",
        "resampled from 48000 to 44100 Hz",
    )
    made = np.concatenate(list(signal.read()), axis=1)
    assert made.shape == (4, 44_100)
    np.testing.assert_allclose(made, resample_poly(samples[:4], 147, 160, axis=1), atol=2e-3)
    np.testing.assert_array_equal(made, np.concatenate(list(signal.read()), axis=1))  # read again


def test_what_fits_passes_unchanged():
    samples, given = recording(4, 44_100, 1000)
    signal = adapted(given, CONFIG, "x.wav")
    assert (signal.origin, signal.changes) == (Origin(), ())
    np.testing.assert_array_equal(np.concatenate(list(signal.read()), axis=1), samples)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 32_000, 44_101, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("length", [1, 2, 9, 4_410, 4_411, 12_347])
def test_the_length_of_a_recording_comes_back_to_the_sample(codec_of, rate_hz, length):
    model = codec_of()
    signal = adapted(recording(4, rate_hz, length)[1], model.config, "x.wav")
    summary = summarise(signal.read())
    assert (summary.length - 1) / 44_100 < length / rate_hz <= summary.length / 44_100
    header = make_header(model, b"modelsha", summary, origin=signal.origin)
    assert length_at(header, rate_hz) == length
    assert length_at(header, 44_100) == summary.length


@pytest.mark.parametrize(
    ("channels", "rate_hz", "length", "message"),
    [
        (1, 44_100, 10, "1 channels, the model codes 4 or a scene of higher order than 1"),
        (9, 44_100, 0, "no samples"),
        (4, 7_999, 10, "sample rate 7999 Hz"),
        (4, 192_001, 10, "sample rate 192001 Hz"),
    ],
)
def test_what_a_model_cannot_code_is_refused(channels, rate_hz, length, message):
    with pytest.raises(InputError, match=message):
        adapted(recording(channels, rate_hz, length)[1], CONFIG, "x.wav")


def test_loudspeaker_signals_are_resampled_but_never_cut():
    config = ModelConfig(channels=6, layout="0+5+0")
    assert adapted(recording(6, 48_000, 100)[1], config, "x.wav").origin == Origin(48_000)
    with pytest.raises(InputError, match=r"9 channels, the model codes 6$"):
        adapted(recording(9, 48_000, 100)[1], config, "x.wav")


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44_100, 48_000), (48_000, 44_100), (44_100, 8_000), (44_100, 44_100)]
)
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 9_000), (4_321, 12_345), (15_000, 16_000)])
def test_a_part_is_resampled_as_in_the_whole(from_hz, to_hz, start, stop):
    length = 2 * from_hz
    samples = np.random.default_rng(1).uniform(-1, 1, (2, length)).astype(np.float32)
    asked = []

    def read(begin, end):
        asked.append(end - begin)
        yield from np.array_split(samples[:, begin:end], 3, axis=1)

    whole = np.concatenate(list(resampled([samples], 2, from_hz, to_hz, 2 * to_hz)), axis=1)
    part = np.concatenate(list(resampled_part(read, 2, length, from_hz, to_hz, start, stop)), axis=1)
    assert part.shape == (2, stop - start)
    np.testing.assert_allclose(part, whole[:, start:stop], atol=2e-6)
    assert asked[0] <= (stop - start) * from_hz / to_hz + 0.25 * from_hz  # not the whole
