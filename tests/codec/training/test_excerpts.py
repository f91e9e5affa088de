"""Excerpts: a pure function of seed, step and item, whatever the order and the number of processes."""

import threading
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.training.excerpts import Augmentation, Excerpts, Purpose, random_generator, shifted_phase
from codec.training.recordings import SignalFormat, open_recordings
from render.common.errors import InputError
from render.fileio.audio_file import read, writer
from render.hoa.spherical_harmonics import spherical_harmonics

RATE_HZ = 44_100
LEVEL_DBFS = -24.0


def write(path, samples, subtype="PCM_16"):
    with writer(path, len(samples), RATE_HZ, subtype) as file:
        file.write(np.asarray(samples, np.float32))
    return path


def excerpts(paths, length=256, channels=16, rotate=False, seed=1, mix=0.0, layout=""):
    recordings = open_recordings(paths, SignalFormat(channels, RATE_HZ, layout), LEVEL_DBFS, length)
    return Excerpts(recordings, length, seed, Augmentation(rotate, mix))


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Three recordings of noise, of different lengths, the last of 24 bits."""
    folder, random = tmp_path_factory.mktemp("noises"), np.random.default_rng(0)
    kinds = (("a.wav", 3000, "PCM_16"), ("b.rf64", 6000, "PCM_16"), ("c.wav", 1000, "PCM_24"))
    return [
        write(folder / name, 0.1 * random.standard_normal((16, frames)), subtype)
        for name, frames, subtype in kinds
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0]))
def test_processes_together_see_what_one_sees(noises, step, processes, size, mix):
    material = excerpts(noises, rotate=True, mix=mix)
    whole = material.batch(step, processes * size)
    parts = [excerpts(noises, rotate=True, mix=mix).batch(step, size, rank=rank) for rank in range(processes)]
    assert torch.equal(whole, torch.cat(parts))


def test_seed_step_item_and_purpose_give_independent_items(noises):
    drawn = [
        *excerpts(noises).batch(3, 2),
        *excerpts(noises).batch(4, 2),
        *excerpts(noises).batch(3, 2, purpose=Purpose.INITIALISATION),
        *excerpts(noises, seed=2).batch(3, 2),
    ]
    assert len({item.numpy().tobytes() for item in drawn}) == len(drawn)
    streams = [random_generator(1, 3), *(random_generator(1, 3, item=item) for item in range(3))]
    assert len(np.unique([stream.integers(2**62, size=100) for stream in streams])) == 400


def test_every_moment_is_as_probable_as_any_other(tmp_path):
    """Ramps of 3000, 6000 and 1000 samples: the slope identifies the recording, the first sample the start."""
    lengths = np.array([3000, 6000, 1000])
    ramps = [(np.arange(length)[None] + 1000) / 2**15 for length in lengths]
    material = excerpts([write(tmp_path / f"{i}.wav", ramp) for i, ramp in enumerate(ramps)], 999, channels=1)
    items = torch.cat([material.batch(step, 100) for step in range(6)])[:, 0].numpy().astype(float)
    slopes = np.diff(items[:, [0, -1]])[:, 0] / 998 * 2**15
    gains = [recording.gain for recording in material.recordings]
    which = np.abs(slopes[:, None] - gains).argmin(1)
    counts = np.bincount(which)
    assert (np.abs(counts - 0.06 * lengths) < 4 * np.sqrt(0.06 * lengths)).all()
    starts = np.round(items[:, 0] * 2**15 / slopes) - 1000
    assert set(starts[which == 2]) == {0, 1}
    quarters = np.histogram(starts[which == 1], bins=4, range=(0, 6000 - 998))[0]
    assert (np.abs(quarters - counts[1] / 4) < 4 * np.sqrt(counts[1] / 4)).all()


def test_sources_are_what_was_drawn(noises):
    material = excerpts(noises, mix=0.5)
    draw, sources = material.draw(7, 6), [source.split(" + ") for source in material.sources(7, 6)]
    assert [item for item, parts in enumerate(sources) if len(parts) == 2] == draw.mixed.tolist() != []
    for position, samples in zip(
        [parts[0] for parts in sources] + [p[1] for p in sources if p[1:]], draw.samples, strict=True
    ):
        path, start = position.split(" from sample ")
        expected = torch.empty(256, 16, dtype=torch.int16)
        material.recordings[list(map(str, noises)).index(path)].samples.copy(int(start), expected.numpy())
        assert torch.equal(samples, expected)


def test_rotated_scenes_are_plane_waves_from_another_direction(tmp_path):
    """Two plane waves: rotated, each is one again, same elevation, same angle between them or mirrored."""
    random = np.random.default_rng(0)
    azimuth_deg, elevation_deg = np.array([40.0, 100.0]), np.array([20.0, -35.0])
    gains = spherical_harmonics(3, np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg))
    sources = 0.05 * random.standard_normal((2, 4000))
    path = write(tmp_path / "waves.wav", gains.T @ sources, "FLOAT")
    material = excerpts([path], length=4000, rotate=True)
    yaws, angles = [], []
    for scene in material.batch(0, 40).numpy().astype(float):
        found = scene @ np.linalg.pinv(sources) / material.recordings[0].gain  # (acn, source): gains of each wave
        rotated = np.arctan2(found[1], found[3])
        expected = spherical_harmonics(3, rotated, np.deg2rad(elevation_deg)).T
        np.testing.assert_allclose(found, expected, atol=2e-4)
        angles.append(np.rad2deg(np.angle(np.exp(1j * (rotated[1] - rotated[0])))))
        yaws.append(rotated[0])
    np.testing.assert_allclose(np.abs(angles), 60, atol=0.02)
    assert 10 <= sum(angle < 0 for angle in angles) <= 30
    assert np.abs(np.exp(1j * np.array(yaws)).mean()) < 0.4


def test_half_precision_elsewhere_leaves_the_scenes_exact(noises):
    draw = excerpts(noises, rotate=True, mix=0.5).draw(0, 4)
    with torch.autocast("cpu", torch.bfloat16):
        scenes = draw.to("cpu")
    assert scenes.dtype == torch.float32
    assert torch.equal(scenes, draw.to())
    own, other = draw.factors.double()
    samples = draw.samples.double()
    rotated = samples * own[:, None] + samples[..., draw.opposite] * other[:, None]
    expected = rotated[:4].clone()
    for item, second in zip(draw.mixed, rotated[4:], strict=True):
        expected[item] += second
    torch.testing.assert_close(scenes.double(), expected.transpose(1, 2), rtol=0, atol=1e-7)


def test_mixtures_are_sums_at_the_level_of_one(tmp_path):
    """Two recordings of orthogonal sines: amplitudes tell the weights, whose squares add up to 1."""
    time = np.arange(8820) / RATE_HZ
    tones = [np.sin(2 * np.pi * f * time) for f in (1000, 2100)]
    paths = [write(tmp_path / f"{index}.wav", [0.1 * tone]) for index, tone in enumerate(tones)]
    material = excerpts(paths, length=4410, channels=1, mix=0.5)
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
    material = excerpts([mono], channels=1, rotate=True)
    windows = material.recordings[0].gain * np.lib.stride_tricks.sliding_window_view(read(mono)[0][0], 256)
    for item in material.batch(0, 2).numpy():  # a rotation leaves an omnidirectional signal alone
        assert np.abs(windows - item).max(1).min() < 1e-6
    samples = 0.1 * random.standard_normal((12, 1000))
    samples[0] = 0  # a silent loudspeaker is no fault, and does not lift the others
    feed = write(tmp_path / "feed.wav", samples)
    material = excerpts([feed], channels=12, layout="4+7+0")
    assert material.recordings[0].gain == pytest.approx(10 ** (LEVEL_DBFS / 20) / 0.05, rel=0.2)
    with pytest.raises(
        InputError, match=r"12 channels are not an Ambisonic scene.* set turn = false, or give the"
    ):
        excerpts([feed], channels=12, layout="4+7+0", rotate=True)
    with pytest.raises(InputError, match=r"channel 0 is silent"):
        excerpts([feed], channels=12)


def test_prefetched_draws_are_those_of_their_steps(noises):
    material = excerpts(noises, rotate=True, mix=0.3)
    batches = material.prefetch(5, 2, purpose=Purpose.INITIALISATION, rank=1)
    for step, draw in zip(range(5, 10), batches, strict=False):
        assert torch.equal(draw.to(), material.batch(step, 2, purpose=Purpose.INITIALISATION, rank=1))
    assert any(thread.name.startswith("excerpts") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("excerpts") for thread in threading.enumerate())


def test_errors_of_the_thread_are_raised_where_the_draw_is_asked_for(tmp_path):
    path = write(tmp_path / "x.wav", np.full((1, 2000), 0.1), "PCM_24")
    batches = excerpts([path], channels=1).prefetch(0, 1)
    next(batches)
    path.unlink()
    with pytest.raises(InputError, match=r"no such file"):
        list(islice(batches, 10))
    assert not any(thread.name.startswith("excerpts") for thread in threading.enumerate())


def test_batches_are_a_function_of_seed_and_step(noises):
    rotated = excerpts(noises, rotate=True)
    assert torch.equal(rotated.batch(7, 3), excerpts(noises, rotate=True).batch(7, 3))
    assert not torch.equal(rotated.batch(7, 3), rotated.batch(8, 3))
    assert not torch.equal(rotated.batch(7, 3), excerpts(noises, rotate=True, seed=2).batch(7, 3))


def test_rotation_and_mirroring_keep_the_energy_of_every_order(noises):
    plain, rotated = (excerpts(noises, rotate=rotate).batch(3, 4) for rotate in (False, True))
    assert not torch.equal(plain, rotated)
    for order in range(4):
        energies = [scenes[:, order**2 : (order + 1) ** 2].square().sum((1, 2)) for scenes in (plain, rotated)]
        torch.testing.assert_close(*energies)


def test_a_phase_shift_is_that_of_every_frequency_and_keeps_covariances(noises):
    """Against SciPy's analytic signal, and in closed form: a sine becomes a sine of another phase."""
    from scipy.signal import hilbert

    time = torch.arange(512) / 512
    sine = torch.sin(2 * torch.pi * 20 * time)[None, None]
    for phase in (0.7, -2.0, torch.pi):
        shifted = shifted_phase(sine, torch.tensor([phase]))
        torch.testing.assert_close(shifted[0, 0], torch.sin(2 * torch.pi * 20 * time + phase), atol=1e-5, rtol=0)
    plain = excerpts(noises).batch(3, 3)
    phases = torch.tensor([0.3, 2.0, -1.1])
    shifted = shifted_phase(plain, phases)
    without_mean = (plain - plain.mean(-1, keepdim=True)).double().numpy()
    expected = np.real(hilbert(without_mean) * np.exp(1j * phases.double().numpy())[:, None, None])
    assert shifted.numpy() == pytest.approx(expected + plain.mean(-1, keepdim=True).numpy(), abs=1e-6)

    def covariance(x):
        x = x - x.mean(-1, keepdim=True)
        # The Nyquist bin has no partner that could keep its power
        spectrum = torch.fft.rfft(x)[..., :-1]
        return (spectrum @ spectrum.mH).real

    torch.testing.assert_close(covariance(shifted), covariance(plain), atol=1e-3, rtol=1e-4)


def test_phases_are_drawn_for_each_item_and_leave_the_excerpts_as_they_were(noises):
    plain = excerpts(noises, mix=0.5)
    shifting = Excerpts(plain.recordings, 256, 1, Augmentation(mix=0.5, shift_phase=True))
    draws = plain.draw(5, 40), shifting.draw(5, 40)
    assert torch.equal(draws[0].samples, draws[1].samples)
    assert torch.equal(draws[0].factors, draws[1].factors)
    assert len(draws[0].phase_rad) == 0
    phases = draws[1].phase_rad
    assert len(phases) == 40
    assert phases.min() < -2
    assert phases.max() > 2
    assert phases.abs().max() <= torch.pi
    torch.testing.assert_close(draws[1].to(), shifted_phase(draws[0].to(), phases))


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(InputError, match=r"mix = 1.5"):
        Augmentation(mix=1.5)
