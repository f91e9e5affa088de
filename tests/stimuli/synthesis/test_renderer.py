"""What is rendered against the microphone's responses, room acoustics and the description."""

import numpy as np
import pytest

from stimuli.em32 import microphone
from stimuli.synthesis import renderer
from stimuli.synthesis.sound_field import GRID_AZIMUTH_RAD, GRID_ELEVATION_RAD, Bed, Event, SoundField, lobe
from stimuli.synthesis.sound_sources import slope

RATE_HZ = 48_000
SEED = 3


def _randomness(*stream):
    return np.random.default_rng([7, *stream])


def _pink(frequency_hz):
    return -3.0 * np.log2(frequency_hz / 1000)


def _rendered(seconds, beds=(), events=(), order=2, level_dbfs=-20.0, ltas_db=_pink, t60_s=0.3):
    field = SoundField(list(beds), list(events), ltas_db, level_dbfs, lambda f: np.full_like(f, t60_s), SEED)
    length = int(seconds * RATE_HZ)
    return np.concatenate(list(renderer.render(field, _randomness, length, order, RATE_HZ)), axis=1)


def _noise_event(seconds, azimuth_rad, elevation_rad, start_s=0.0, send_db=-120.0, level_db=0.0):
    signal = np.random.default_rng(1).standard_normal(int(seconds * RATE_HZ)).astype(np.float32) * 0.2
    return Event(
        start_s,
        seconds,
        lambda: signal,
        level_db,
        lambda t: (np.full(len(t), azimuth_rad), np.full(len(t), elevation_rad)),
        send_db,
    )


def _spectra(signal, size=2048):
    frames = np.lib.stride_tricks.sliding_window_view(signal, size, axis=1)[:, :: size // 2]
    return np.fft.rfft(frames * np.hanning(size), axis=2)


def test_event_arrives_as_the_microphone_hears_a_plane_wave():
    """Transfer functions from W to the other channels, across the seam of two blocks."""
    direction = 137
    seconds = renderer.BLOCK_HOPS * renderer.HOP / RATE_HZ + 1.0
    event = _noise_event(seconds, GRID_AZIMUTH_RAD[direction], GRID_ELEVATION_RAD[direction])
    found = _rendered(seconds, events=[event])
    seam = renderer.BLOCK_HOPS * renderer.HOP
    spectra = _spectra(found[:, seam - RATE_HZ : seam + RATE_HZ // 2])
    frequency_hz = np.fft.rfftfreq(2048, 1 / RATE_HZ)
    bins = np.searchsorted(frequency_hz, [500, 1000, 2000, 4000, 7000])
    cross = np.mean(spectra * spectra[0].conj(), axis=1)[:, bins]
    measured = cross / cross[0]
    at = GRID_AZIMUTH_RAD[[direction]], GRID_ELEVATION_RAD[[direction]]
    model = microphone.plane_wave_responses(*at, frequency_hz[bins], 2, SEED)[:, 0].T
    np.testing.assert_allclose(measured, model / model[0], atol=0.03)


def test_bed_has_the_covariance_of_its_directions():
    spread = lobe(60.0, 20.0, 6.0)
    found = _rendered(6.0, beds=[Bed(0.0, slope(-3), spread)], order=3, level_dbfs=-10.0)
    spectra = _spectra(found)
    frequency_hz = np.fft.rfftfreq(2048, 1 / RATE_HZ)
    for low_hz, high_hz in ((1200, 2000), (3000, 5000)):
        inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
        band = spectra[..., inside].reshape(16, -1)
        measured = (band @ band.conj().T).real
        grid = microphone.plane_wave_responses(GRID_AZIMUTH_RAD, GRID_ELEVATION_RAD, frequency_hz[inside], 3, SEED)
        # The rendered spectrum of W follows the template, 1/f
        wanted = np.einsum("fda,d,fdb,f->ab", grid, spread, grid.conj(), 1 / frequency_hz[inside]).real
        error = measured / measured[0, 0] - wanted / wanted[0, 0]
        assert np.linalg.norm(error) < 0.06 * np.linalg.norm(wanted / wanted[0, 0])


def test_blocks_join_without_a_seam():
    """A bed keeps its level and its samples stay Gaussian across the border of two blocks."""
    seam = renderer.BLOCK_HOPS * renderer.HOP
    bed = Bed(0.0, slope(-3), lobe(0, 0, 0.0))
    found = _rendered(seam / RATE_HZ + 1.0, beds=[bed], order=1)
    level = np.sqrt(np.mean(found[:, seam - 2048 : seam + 2048] ** 2, axis=1))
    elsewhere = np.sqrt(np.mean(found[:, : seam // 2] ** 2, axis=1))
    np.testing.assert_allclose(20 * np.log10(level / elsewhere), 0, atol=1.0)
    step = np.abs(np.diff(found[0]))
    assert step[seam - 2 : seam + 2].max() < 5 * step.std()
    w = found[0, : seam // 2] / found[0, : seam // 2].std()
    assert np.mean(w**4) == pytest.approx(3, abs=0.15)


def test_moving_source_glides():
    """A tone that circles the microphone keeps its level in W: no jumps from grid point to grid point."""
    seconds = 3.0
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * 500 * time).astype(np.float32)
    event = Event(0.0, seconds, lambda: tone, 0.0, lambda t: (2 * np.pi * t / seconds, 0.3 * np.sin(2 * t)))
    found = _rendered(seconds, events=[event], order=1)[:, RATE_HZ // 5 : -RATE_HZ // 5]
    envelope = np.abs(np.fft.ifft(np.fft.fft(found[0]) * (np.arange(found.shape[1]) < found.shape[1] // 2)))
    inner = envelope[4800:-4800]
    assert 20 * np.log10(inner.max() / inner.min()) < 1.0
    # Direction of the intensity follows the path
    frames = _spectra(found[:, 4800:-4800], 4096)[:, :, 43]
    angle = np.unwrap(np.arctan2((frames[1] * frames[0].conj()).real, (frames[3] * frames[0].conj()).real))
    turned = 2 * np.pi * (len(angle) - 1) * 2048 / RATE_HZ / seconds
    assert angle[-1] - angle[0] == pytest.approx(turned, abs=0.1)
    assert np.diff(angle).min() > 0


def test_reverberation_decays_with_its_time_and_comes_from_everywhere():
    """Schroeder integration of the response to a click (ISO 3382-1), -5 to -25 dB."""
    click = np.zeros(480, np.float32)
    click[:8] = 1.0
    event = Event(0.1, 0.01, lambda: click, -60.0, lambda t: (0 * t, 0 * t), send_db=80.0)
    found = _rendered(2.0, events=[event], t60_s=0.8, level_dbfs=-15.0)
    start = int(0.11 * RATE_HZ)
    energy = np.cumsum(found[0, start:][::-1] ** 2)[::-1]
    level_db = 10 * np.log10(energy / energy[0])
    early, late = np.argmax(level_db < -5), np.argmax(level_db < -25)
    assert 3 * (late - early) / RATE_HZ == pytest.approx(0.8, rel=0.12)
    tail = found[:4, start : start + RATE_HZ // 2].astype(float)
    correlation = np.corrcoef(tail)
    assert np.abs(correlation - np.eye(4)).max() < 0.35


def test_level_and_spectrum_follow_the_template():
    def ltas_db(frequency_hz):
        return -9.0 * np.log2(np.maximum(frequency_hz, 60) / 1000)

    beds = [Bed(0.0, slope(-2), lobe(0, 0, 4.0)), Bed(-3.0, slope(-8), lobe(90, 0, 4.0))]
    events = [_noise_event(2.0, 1.0, 0.0, start_s=1.0, level_db=10.0)]
    found = _rendered(4.0, beds, events, order=1, level_dbfs=-30.0, ltas_db=ltas_db)
    assert 10 * np.log10(np.mean(found[0] ** 2)) == pytest.approx(-30.0, abs=0.8)
    power = np.mean(np.abs(_spectra(found)[0]) ** 2, axis=0)
    frequency_hz = np.fft.rfftfreq(2048, 1 / RATE_HZ)
    found_db = [
        10 * np.log10(power[(frequency_hz > centre / 1.2) & (frequency_hz < centre * 1.2)].mean())
        for centre in (125, 250, 500, 1000, 2000, 4000)
    ]
    np.testing.assert_allclose(np.diff(found_db), -9, atol=1.5)


def test_capsule_noise_is_there_and_independent_of_the_rate():
    """With nearly no sound: the density of the model in W, at 48 and at 44.1 kHz."""
    for rate_hz in (48_000, 44_100):
        field = SoundField([Bed(0.0, slope(-3), lobe(0, 0, 0.0))], [], _pink, -140.0, lambda f: 0.3 + 0 * f, SEED)
        found = next(renderer.render(field, _randomness, rate_hz, 1, rate_hz))
        power = np.mean(np.abs(_spectra(found)[0]) ** 2, axis=0) / np.sum(np.hanning(2048) ** 2)
        frequency_hz = np.fft.rfftfreq(2048, 1 / rate_hz)
        inside = (frequency_hz > 500) & (frequency_hz < 1000)
        density_db = 10 * np.log10(power[inside].mean() * 2 / rate_hz)
        expected = microphone.noise_covariance(np.array([750.0]), 1)[0, 0, 0].real
        assert density_db == pytest.approx(-128.1 + 10 * np.log10(expected), abs=0.5)
