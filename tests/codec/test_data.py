"""Training excerpts: what is read, what is done to it, that nothing depends on order or number of processes."""

import struct
import threading
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.training.excerpts import Excerpts, generator
from codec.training.recordings import level_gain, training_and_held_out
from render.common.errors import InputError
from render.fileio.audio_file import read, writer
from render.hoa.spherical_harmonics import spherical_harmonics

RATE_HZ = 44_100
LEVEL_DBFS = -24.0


def write(path, samples, subtype="PCM_16"):
    with writer(path, len(samples), RATE_HZ, subtype) as file:
        file.write(np.asarray(samples, np.float32))
    return path


def excerpts(paths, frames=256, channels=16, turn=False, seed=1, **options):
    return Excerpts(paths, frames, channels, RATE_HZ, LEVEL_DBFS, turn, seed, **options)


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Three recordings of noise, of different lengths, the last of 24 bits."""
    folder, random = tmp_path_factory.mktemp("noises"), np.random.default_rng(0)
    kinds = (("a.wav", 3000, "PCM_16"), ("b.rf64", 6000, "PCM_16"), ("c.wav", 1000, "PCM_24"))
    return [
        write(folder / name, 0.1 * random.standard_normal((16, frames)), subtype)
        for name, frames, subtype in kinds
    ]


# --------------------------------------------------------------------------- a function of (seed, step, item)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0]))
def test_processes_together_see_what_one_sees(noises, step, processes, size, mix):
    material = excerpts(noises, turn=True, mix=mix)
    whole = material.batch(step, processes * size)
    parts = [excerpts(noises, turn=True, mix=mix).batch(step, size, rank=rank) for rank in range(processes)]
    assert torch.equal(whole, torch.cat(parts))


def test_seed_step_item_and_purpose_give_independent_items(noises):
    drawn = [
        *excerpts(noises).batch(3, 2),
        *excerpts(noises).batch(4, 2),
        *excerpts(noises).batch(3, 2, purpose=1),
        *excerpts(noises, seed=2).batch(3, 2),
    ]
    assert len({item.numpy().tobytes() for item in drawn}) == len(drawn)
    streams = [generator(1, 3), *(generator(1, 3, item=item) for item in range(3))]
    assert len(np.unique([stream.integers(2**62, size=100) for stream in streams])) == 400


def test_every_moment_is_as_probable_as_any_other(tmp_path):
    """Ramps of 3000, 6000 and 1000 samples: the slope tells the recording, the first sample the start."""
    lengths = np.array([3000, 6000, 1000])
    ramps = [(np.arange(length)[None] + 1000) / 2**15 for length in lengths]
    material = excerpts([write(tmp_path / f"{i}.wav", ramp) for i, ramp in enumerate(ramps)], 999, channels=1)
    items = torch.cat([material.batch(step, 100) for step in range(6)])[:, 0].numpy().astype(float)
    slopes = np.diff(items[:, [0, -1]])[:, 0] / 998 * 2**15
    which = np.abs(slopes[:, None] - material.gains).argmin(1)
    counts = np.bincount(which)
    assert (np.abs(counts - 0.06 * lengths) < 4 * np.sqrt(0.06 * lengths)).all()
    starts = np.round(items[:, 0] * 2**15 / slopes) - 1000
    assert set(starts[which == 2]) == {0, 1}
    quarters = np.histogram(starts[which == 1], bins=4, range=(0, 6000 - 998))[0]
    assert (np.abs(quarters - counts[1] / 4) < 4 * np.sqrt(counts[1] / 4)).all()


def test_sources_tell_what_was_drawn(noises):
    material = excerpts(noises, mix=0.5)
    draw, told = material.draw(7, 6), [source.split(" + ") for source in material.sources(7, 6)]
    assert [item for item, parts in enumerate(told) if len(parts) == 2] == draw.mixed.tolist() != []
    for place, samples in zip(
        [parts[0] for parts in told] + [p[1] for p in told if p[1:]], draw.samples, strict=True
    ):
        path, start = place.split(" from sample ")
        expected = torch.empty(256, 16, dtype=torch.int16)
        material.recordings[list(map(str, noises)).index(path)].copy(int(start), expected.numpy())
        assert torch.equal(samples, expected)


# ----------------------------------------------------------------------------------------------- what is read


def ramp(channels=16, frames=2000):
    """Integers of 16 bits that tell their place: samples count in channel 0, the others differ by a constant."""
    return (7 * np.arange(frames) - 6000 + 100 * np.arange(channels)[:, None]) / 2**15


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("x.wav", "PCM_16"), ("x.rf64", "PCM_16"), ("x.w64", "PCM_16"), ("x.caf", "PCM_16"),
        ("x.wav", "PCM_24"), ("x.wav", "FLOAT"),
    ],
)  # fmt: skip
def test_samples_are_those_of_the_file(tmp_path, name, subtype):
    path = write(tmp_path / name, ramp(), subtype)
    check_ramp(path, ramp())


def check_ramp(path, expected):
    material = excerpts([path], channels=len(expected))
    for item in material.batch(0, 4).numpy().astype(float) / material.gains[0]:
        start = round((item[0, 0] * 2**15 + 6000) / 7)
        np.testing.assert_allclose(item, expected[:, start : start + 256], atol=1e-7)


def test_samples_begin_after_chunks_of_any_length(tmp_path):
    """An odd chunk with its pad byte, and a name inside it that looks like the beginning of samples."""
    path = write(tmp_path / "plain.wav", ramp(2))
    content = path.read_bytes()
    body = b"INFOdata\x07\x00\x00"
    chunk = b"LIST" + struct.pack("<I", len(body)) + body + b"\0"
    at = content.index(b"data")
    content = b"RIFF" + struct.pack("<I", len(content) + len(chunk) - 8) + content[8:at] + chunk + content[at:]
    odd = tmp_path / "odd.wav"
    odd.write_bytes(content)
    assert len(body) % 2 == 1
    check_ramp(odd, ramp(2))


def test_quiet_recordings_of_24_bits_and_loud_ones_of_floats_keep_their_precision(tmp_path):
    """60 dB down, 16 bits would leave an error of 2^-16 of full scale; one that is 4 times too loud would clip."""
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 2000))
    for name, scale, subtype in (("quiet.wav", 1e-3, "PCM_24"), ("loud.wav", 4.0, "FLOAT")):
        path = write(tmp_path / name, scale * noise, subtype)
        material = excerpts([path], frames=2000, channels=1)
        item = material.batch(0, 1).numpy()[0] / material.gains[0] / scale
        assert np.abs(item - noise).max() < (2**-14 if scale < 1 else 2**-15)


# ----------------------------------------------------------------------------------------- what is done to it


def test_recordings_are_brought_to_the_level_with_one_gain(tmp_path):
    time = np.arange(100_000) / RATE_HZ
    amplitudes = np.array([0.01, 0.3, 0.002, 0.0])[:, None]
    path = write(tmp_path / "sine.wav", amplitudes * np.sin(2 * np.pi * 441 * time))
    # rms of a sine; the second channel is more than twice as loud and sets the level
    # (codec.coding.pipeline.survey)
    assert level_gain(path, -24.0) == pytest.approx(10 ** (-24 / 20) / (0.3 / np.sqrt(2) / 2), rel=1e-3)
    item = excerpts([path], frames=44_100, channels=4).batch(0, 1)[0]
    levels = item.square().mean(1).sqrt().numpy()
    assert levels / levels[1] == pytest.approx(amplitudes[:, 0] / 0.3, rel=0.01, abs=1e-6)


def test_turned_scenes_are_plane_waves_from_another_side(tmp_path):
    """Two plane waves: after turning each is one again, same elevation, same angle between them or mirrored."""
    random = np.random.default_rng(0)
    azimuth_deg, elevation_deg = np.array([40.0, 100.0]), np.array([20.0, -35.0])
    gains = spherical_harmonics(3, np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg))
    sources = 0.05 * random.standard_normal((2, 4000))
    path = write(tmp_path / "waves.wav", gains.T @ sources, "FLOAT")
    material = excerpts([path], frames=4000, turn=True)
    turns, angles = [], []
    for scene in material.batch(0, 40).numpy().astype(float):
        found = scene @ np.linalg.pinv(sources) / material.gains[0]  # (acn, source): gains of each wave
        turned = np.arctan2(found[1], found[3])
        expected = spherical_harmonics(3, turned, np.deg2rad(elevation_deg)).T
        np.testing.assert_allclose(found, expected, atol=2e-4)
        angles.append(np.rad2deg(np.angle(np.exp(1j * (turned[1] - turned[0])))))
        turns.append(turned[0])
    np.testing.assert_allclose(np.abs(angles), 60, atol=0.02)
    assert 10 <= sum(angle < 0 for angle in angles) <= 30
    assert np.abs(np.exp(1j * np.array(turns)).mean()) < 0.4


def test_half_precision_elsewhere_leaves_the_scenes_exact(noises):
    draw = excerpts(noises, turn=True, mix=0.5).draw(0, 4)
    with torch.autocast("cpu", torch.bfloat16):
        scenes = draw.to("cpu")
    assert scenes.dtype == torch.float32
    assert torch.equal(scenes, draw.to())
    own, other = draw.factors.double()
    samples = draw.samples.double()
    turned = samples * own[:, None] + samples[..., draw.opposite] * other[:, None]
    expected = turned[:4].clone()
    for item, second in zip(draw.mixed, turned[4:], strict=True):
        expected[item] += second
    torch.testing.assert_close(scenes.double(), expected.transpose(1, 2), rtol=0, atol=1e-7)


def test_mixtures_are_sums_at_the_level_of_one(tmp_path):
    """Two recordings of orthogonal sines: amplitudes tell the weights, whose squares add up to 1."""
    time = np.arange(8820) / RATE_HZ
    tones = [np.sin(2 * np.pi * f * time) for f in (1000, 2100)]
    paths = [write(tmp_path / f"{index}.wav", [0.1 * tone]) for index, tone in enumerate(tones)]
    material = excerpts(paths, frames=4410, channels=1, mix=0.5)
    items = torch.cat([material.batch(step, 100) for step in range(3)])[:, 0].numpy().astype(float)
    spectra = np.abs(np.fft.rfft(items))[:, [100, 210]] / 2205 / (np.sqrt(2) * 10 ** (LEVEL_DBFS / 20))
    mixed = (spectra > 0.05).all(1)
    np.testing.assert_allclose((spectra[mixed] ** 2).sum(1), 1, rtol=2e-3)
    ratio_db = 20 * np.log10(spectra[mixed].min(1) / spectra[mixed].max(1))
    assert -12.05 < ratio_db.min() < -11
    assert -1 < ratio_db.max() < 0.05
    # half of the items are mixtures, half of those of two different recordings
    assert 45 <= mixed.sum() <= 105
    assert material.draw(0, 100).mixed.shape[0] == pytest.approx(50, abs=20)
    assert excerpts(paths, channels=1).draw(0, 100).mixed.shape[0] == 0


def test_mono_and_loudspeaker_feeds(tmp_path):
    random = np.random.default_rng(0)
    mono = write(tmp_path / "mono.wav", 0.1 * random.standard_normal((1, 1000)))
    material = excerpts([mono], channels=1, turn=True)
    windows = material.gains[0] * np.lib.stride_tricks.sliding_window_view(read(mono)[0][0], 256)
    for item in material.batch(0, 2).numpy():  # turning leaves an omnidirectional signal alone
        assert np.abs(windows - item).max(1).min() < 1e-6
    samples = 0.1 * random.standard_normal((12, 1000))
    samples[0] = 0  # a silent loudspeaker is no fault, and does not lift the others
    feed = write(tmp_path / "feed.wav", samples)
    material = excerpts([feed], channels=12, turn=True, layout="4+7+0")
    item = material.batch(0, 1)[0]
    assert material.gains[0] == pytest.approx(10 ** (LEVEL_DBFS / 20) / 0.05, rel=0.2)
    assert torch.equal(item, excerpts([feed], channels=12, layout="4+7+0").batch(0, 1)[0])
    with pytest.raises(InputError, match=r"12 channels are no Ambisonics.* set turn = false, or give the layout"):
        excerpts([feed], channels=12, turn=True)
    with pytest.raises(InputError, match=r"channel 0 is silent"):
        excerpts([feed], channels=12)


# ------------------------------------------------------------------------------------------------ in a thread


def test_draws_made_ahead_are_those_of_their_steps(noises):
    material = excerpts(noises, turn=True, mix=0.3)
    ahead = material.ahead(5, 2, purpose=1, rank=1)
    for step, draw in zip(range(5, 10), ahead, strict=False):
        assert torch.equal(draw.to(), material.batch(step, 2, purpose=1, rank=1))
    assert any(thread.name.startswith("excerpts") for thread in threading.enumerate())
    ahead.close()
    assert not any(thread.name.startswith("excerpts") for thread in threading.enumerate())


def test_errors_of_the_thread_are_raised_where_the_draw_is_asked_for(tmp_path):
    path = write(tmp_path / "x.wav", ramp(1), "PCM_24")
    ahead = excerpts([path], channels=1).ahead(0, 1)
    next(ahead)
    path.unlink()
    with pytest.raises(InputError, match=r"no such file"):
        list(islice(ahead, 10))
    assert not any(thread.name.startswith("excerpts") for thread in threading.enumerate())


# -------------------------------------------------------------------------------------------------- bad input


def test_recordings_that_cannot_be_used_are_named(tmp_path):
    random = np.random.default_rng(0)
    good = write(tmp_path / "good.wav", 0.1 * random.standard_normal((16, 1000)))
    first_order = write(tmp_path / "first.wav", 0.1 * random.standard_normal((4, 1000)))
    with pytest.raises(InputError, match=r"first.wav: 4 channels at 44100 Hz; the model takes 16"):
        excerpts([good, first_order])
    with writer(tmp_path / "rate.wav", 16, 48_000) as file:
        file.write(np.full((16, 1000), 0.1, np.float32))
    with pytest.raises(InputError, match=r"rate.wav: 16 channels at 48000 Hz.*stimuli.prepare"):
        excerpts([good, tmp_path / "rate.wav"])
    with pytest.raises(InputError, match=r"good.wav: 1000 samples \(0.02 s\), an excerpt needs 1001"):
        excerpts([good], frames=1001)
    with pytest.raises(InputError, match=r"no recordings"):
        excerpts([])
    with pytest.raises(InputError, match=r"mix = 1.5"):
        excerpts([good], mix=1.5)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_silent_and_clipped_recordings_are_refused(tmp_path, subtype):
    random = np.random.default_rng(0)
    samples = 0.1 * random.standard_normal((4, 10_000))
    samples[0] = (random.random(10_000) - random.random(10_000)) / 2**15  # the dither of a silent recording
    silent = write(tmp_path / "silent.wav", samples, subtype)
    with pytest.raises(InputError, match=r"silent.wav: channel 0 is silent throughout"):
        excerpts([silent], channels=4)

    samples[0] = samples[1]
    samples[2, :10] = [1, -1] * 5  # 10 of 10,000 are accepted
    write(tmp_path / "peaks.wav", samples, subtype)
    excerpts([tmp_path / "peaks.wav"], channels=4)
    samples[2, 10] = 1
    clipped = write(tmp_path / "clipped.wav", samples, subtype)
    with pytest.raises(InputError, match=r"clipped.wav: clipped: 0.11% of channel 2 are at full scale"):
        excerpts([clipped], channels=4)


def test_a_recording_that_was_replaced_is_measured_again(tmp_path):
    path = write(tmp_path / "x.wav", np.full((1, 1000), 0.1))
    before = level_gain(path, -24.0)
    path.unlink()
    write(path, np.full((1, 2000), 0.2))
    assert level_gain(path, -24.0) == pytest.approx(before / 2, rel=1e-3)


def test_too_little_data_for_the_split(tmp_path):
    def corpus(name, *numbers):
        (tmp_path / name).mkdir()
        for number in numbers:
            write(tmp_path / name / f"Beach.{number}.wav", np.full((1, 100), 0.1))
        return tmp_path / name

    both, eighth, others = corpus("both", 1, 8), corpus("eighth", 8), corpus("others", 1, 2)
    training, held_out = training_and_held_out([both, others])
    assert training == [both / "Beach.1.wav", others / "Beach.1.wav", others / "Beach.2.wav"]
    assert held_out == [both / "Beach.8.wav"]
    with pytest.raises(InputError, match=r"eighth: nothing to train on: all 1 recordings are held out"):
        training_and_held_out([eighth])
    with pytest.raises(InputError, match=r"others: nothing is held out.*\(recording 8 of each class\) among 2"):
        training_and_held_out([others])
    with pytest.raises(InputError, match=r"nothing to train on.*\(the class Beach\)"):
        training_and_held_out([both], "Beach")
    with pytest.raises(InputError, match=r"lies in two of the folders"):
        training_and_held_out([both, both])
