"""What the decoder makes of levels and correlations: powers, correlations and levels that were sent."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from codec.bitstream.sizes import slot_counts
from codec.side_info.analysis import WINDOW, band_edges, measure_parameters
from codec.side_info.klt import InverseKLT, klt_basis
from codec.side_info.level_restoration import CONTEXT_SAMPLES, LevelRestorer
from codec.side_info.parameter_coding import SpatialParameters, decode_parameters

GOLDEN = Path(__file__).parents[2] / "golden"


def measured(packet):
    """Parameters of a packet with silence before and after it."""
    return measure_parameters(packet, 0, packet.shape[1], 512, 44_100)


def random_covariance(seed, channels, spread_db=20):
    random = np.random.default_rng(seed)
    factor = random.standard_normal((channels, channels + 2))
    scale = 10 ** (random.uniform(-spread_db, 0, channels) / 20)
    return scale[:, None] * (factor @ factor.T) * scale


def coloured(covariance, frames, seed):
    """Pink noise from 60 Hz on with a covariance; below 43 Hz nothing is restored."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((len(covariance), frames)))
    spectrum /= np.sqrt(np.arange(1, spectrum.shape[1] + 1))
    spectrum[:, : int(60 * frames / 44_100)] = 0
    noise = np.fft.irfft(spectrum, frames)
    return (np.linalg.cholesky(covariance) @ (noise / noise.std())).astype(np.float32)


def by_band(x, rate_hz=44_100):
    """Covariances of octaves, by an FFT of everything: an oracle without windows."""
    spectrum = np.fft.rfft(x)
    hz = np.fft.rfftfreq(x.shape[1], 1 / rate_hz)
    octaves = [(80 * 2**k, 160 * 2**k) for k in range(1, 8) if k != 4]  # there the two images meet
    parts = [spectrum[:, (hz >= low) & (hz < high)] for low, high in octaves]
    return np.stack([(p @ p.conj().T).real / p.shape[1] for p in parts])


def correlations(covariances):
    unit = 1 / np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    return covariances * unit[..., :, None] * unit[..., None, :]


def restored_channels(network, sent):
    """What the decoder makes of one packet of the network's output."""
    frames = network.shape[1]
    basis = klt_basis(sent, len(network), frames, 512, 44_100)
    channels = InverseKLT(512, 44_100)(network, 0, frames, basis)
    return LevelRestorer(512, 44_100).restore(channels, 0, frames, sent)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_restored_signals_have_the_covariance_that_was_sent(seed):
    """Different images below and above 2 kHz come out of noises that know nothing of them.

    The network makes noises whose powers are up to 3 dB wrong; transformed back, they have the image.
    """
    frames, hop = 256 * 512, 512
    low, high = (coloured(random_covariance(seed + n, 5, 10), frames, 1 + n) for n in (8, 9))
    bins = np.fft.rfftfreq(frames, 1 / 44_100) < 1900
    original = np.fft.irfft(np.where(bins, np.fft.rfft(low), np.fft.rfft(high))).astype(np.float32)
    target = measured(original)
    # 1900 Hz lie in band 5 of 12; the lowest ones hold few bins
    for bands, number in ((slice(2, 5), seed + 8), (slice(6, 12), seed + 9)):
        made = correlations(random_covariance(number, 5, 10)[None])[0][np.triu_indices(5, 1)]
        np.testing.assert_allclose(target.correlations[:, bands].mean((1, 2)), made, atol=0.05)
    noises = np.fft.rfft(coloured(np.eye(5), frames, 1))
    basis = klt_basis(target, 5, frames, hop, 44_100)
    wrong_db = np.random.default_rng(seed).uniform(-3, 3, (12, 5))
    wanted_power = basis.power.mean(0) * 10 ** (wrong_db / 10)
    edges_hz = band_edges(44_100)[::2] * 44_100 / WINDOW
    hz = np.fft.rfftfreq(frames, 1 / 44_100)
    for band, (low_hz, high_hz) in enumerate(pairwise(edges_hz)):
        inside = (hz >= low_hz) & (hz < high_hz)
        power = np.square(np.abs(noises[:, inside])).mean(1) / frames
        noises[:, inside] *= np.sqrt(wanted_power[band] / power)[:, None]
    network = np.fft.irfft(noises, frames).astype(np.float32)
    restored = restored_channels(network, target)
    wanted, before, after = (by_band(x) for x in (original, network, restored))
    far = np.abs(correlations(before) - correlations(wanted)).mean()
    assert np.abs(correlations(after) - correlations(wanted)).mean() < 0.2 * far
    level_db = 10 * np.log10(np.diagonal(after / wanted, axis1=1, axis2=2))
    assert np.abs(level_db).max() < 2


def test_nothing_to_restore_changes_nothing_and_delays_nothing():
    """Windows add up to one, and the gain to the same level is one."""
    x = coloured(random_covariance(4, 3) + 0.1 * np.eye(3), 100 * 512, 0)
    restored = LevelRestorer(512, 44_100).restore(x, 0, x.shape[1], measured(x))
    assert np.abs(restored - x).max() < 1e-4 * x.std()
    unknown = LevelRestorer(512, 44_100).restore(x, 0, x.shape[1], None)
    assert np.abs(unknown - x).max() < 1e-5 * x.std()


def test_levels_follow_what_correlations_cannot():
    """Noise that swells by 20 dB within a slot of 0.74 s comes back with its envelope."""
    frames = 128 * 512
    noise = coloured(np.eye(2), frames, 3)
    envelope = 10 ** (np.interp(np.arange(frames), [0, 0.4 * frames, 0.6 * frames, frames], [-20, -20, 0, 0]) / 20)
    target = measured((envelope * noise).astype(np.float32))
    restored = restored_channels(coloured(np.eye(2), frames, 4), target)
    early, late = restored[:, : frames // 3].std(), restored[:, 2 * frames // 3 :].std()
    assert 20 * np.log10(late / early) == pytest.approx(20, abs=1.5)


def test_packets_join_without_a_seam():
    """Packet by packet with context: the windows of both sides agree at the seam."""
    length, hop = 256 * 512, 512
    x = coloured(random_covariance(1, 3), 2 * length, 5)
    target = measured(coloured(random_covariance(2, 3), length, 6))
    restorer = LevelRestorer(hop, 44_100)
    first = restorer.restore(x[:, : length + CONTEXT_SAMPLES], 0, length, target)
    second = restorer.restore(x[:, length - CONTEXT_SAMPLES :], CONTEXT_SAMPLES, length, None)
    whole = LevelRestorer(hop, 44_100)
    expected = whole.restore(x[:, : length + CONTEXT_SAMPLES], 0, length, target)
    # the last gains go on: so does what they do to a signal that goes on
    held = LevelRestorer(hop, 44_100)
    held._last_gains_db = restorer._last_gains_db
    alone = held.restore(x[:, length - CONTEXT_SAMPLES :], CONTEXT_SAMPLES, length, None)
    assert np.array_equal(first, expected)
    assert np.array_equal(second, alone)
    joined = np.concatenate([first, second], axis=1)
    jumps = np.abs(np.diff(joined, 2)).max(0)
    assert jumps[length - 10 : length + 10].max() < 3 * jumps[length - 5000 : length - 10].max()


def test_what_lies_beyond_the_reach_changes_no_bit():
    length, hop = 256 * 512, 512
    x = coloured(random_covariance(1, 3), 3 * length, 5)
    y = x.copy()
    y[:, : length - CONTEXT_SAMPLES] += 1
    y[:, 2 * length + CONTEXT_SAMPLES :] *= -1
    target = measured(x[:, length : 2 * length])
    a, b = (
        LevelRestorer(hop, 44_100).restore(
            z[:, length - CONTEXT_SAMPLES : 2 * length + CONTEXT_SAMPLES], CONTEXT_SAMPLES, length, target
        )
        for z in (x, y)
    )
    assert np.array_equal(a, b)


def test_silent_channels_and_silence_are_restored_as_silence():
    frames = 64 * 512
    original = coloured(random_covariance(3, 3), frames, 4) * np.float32([[1], [1], [0]])
    decoded = coloured(random_covariance(5, 3), frames, 6)
    restored = restored_channels(decoded, measured(original))
    assert np.isfinite(restored).all()
    assert restored[:2].any()
    assert not restored[2].any()
    quiet = restored_channels(0 * decoded, measured(0 * original))
    assert not quiet.any()


@pytest.mark.parametrize(
    ("frames", "counts"),
    [(20, (2, 1)), (63, (7, 1)), (127, (15, 1)), (128, (16, 2)), (256, (32, 4)), (511, (63, 7))],
)
def test_every_sample_of_every_length_is_restored(frames, counts):
    x = coloured(random_covariance(0, 2), frames * 512, frames)
    target = measured(x)
    assert (target.levels_db.shape[2], target.correlations.shape[2]) == counts == slot_counts(frames)
    louder = target._replace(levels_db=target.levels_db + 20 * np.log10(2))
    restored = LevelRestorer(512, 44_100).restore(x, 0, frames * 512, louder)
    middle = slice(2048, -2048)  # where the noise is cut off it has bins 0 and 1, too
    assert np.abs(restored - 2 * x)[:, middle].max() < 0.02 * x.std()
    assert np.abs(restored - 2 * x).max() < 0.3 * x.std()


def test_an_offset_of_the_network_is_not_amplified():
    """The reference has a rumble at 60 Hz, the decoded signal only noise and an offset: the offset stays."""
    frames = 128 * 512
    time = np.arange(frames) / 44_100
    noise = coloured(np.eye(1), frames, 8)
    rumble = (noise + 10 * np.sin(2 * np.pi * 60 * time)).astype(np.float32)
    decoded = coloured(np.eye(1), frames, 9) + np.float32(0.01)
    sent = measured(rumble)
    restored = restored_channels(decoded, sent)
    assert restored.std() > 2 * decoded.std()
    # as loud as before the network, where the components were made softer or louder
    gain = klt_basis(sent, 1, frames, 512, 44_100).gain[:, 0].mean()
    assert abs(restored.mean()) * gain < 0.02


def test_the_limits_of_the_gains_are_those_of_the_document():
    """Golden vector: 42 dB are asked for and 24 come, -90 and -60 come, and 18 to 30 dB in the third channel."""
    vector = json.loads((GOLDEN / "spatial_limits.json").read_text())["levels"]
    n, c = np.arange(16 * 512), np.arange(3)[:, None]
    before = (0.1 / (c + 1) * np.cos(np.pi * n * (n + c) / 8192)).astype(np.float32)
    sent = decode_parameters(bytes.fromhex(vector["side_info"]), 3, (24, 2), (12, 1), ambisonic=False)
    after = LevelRestorer(512, 44_100).restore(before, 0, 16 * 512, sent)[:, :: vector["every"]]
    expected = np.array(vector["after"])
    for own, theirs in zip(after, expected, strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-5 * np.abs(theirs).max())


def test_a_sound_that_begins_suddenly_has_its_level_after_two_passes():
    """A burst in silence, of a network that fills its surroundings with noise, lacks less level than after one."""
    frames, burst = 128 * 512, slice(50_176, 51_500)
    original = np.zeros((1, frames), np.float32)
    original[:, burst] = 0.3 * np.random.default_rng(7).standard_normal((1, 1324))
    original += 1e-5 * coloured(np.eye(1), frames, 8)
    network = coloured(0.01 * np.eye(1), frames, 9)
    sent, missing_db = measured(original), []
    for has_attacks in (False, True):
        restored = LevelRestorer(512, 44_100).restore(network, 0, frames, sent, has_attacks)
        around = restored[:, burst.start - 2048 : burst.stop + 2048]
        missing_db.append(10 * np.log10(np.square(original[:, burst]).sum() / np.square(around).sum()))
    assert missing_db[0] > 2
    assert abs(missing_db[1]) < 0.5 * missing_db[0]


def restored_by_the_document(samples, start, frames, sent_db, last_db, passes):
    """A channel of one packet and its gains at the end, from docs/bitstream.md, level restoration.

    The gains themselves are interpolated and applied to the spectra of the network's output, in every pass anew.
    """
    length, edges, numbers = frames * 512, band_edges(44_100), np.arange(-1, frames + 2)
    window, padded = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)), np.pad(samples, 4096)
    begins = 4096 + start + 512 * numbers - 1024
    spectra = np.array([np.fft.rfft(window * padded[b : b + 2048]) for b in begins])
    ends = [*range(8, 8 * (frames // 8), 8), frames]
    slots = [slice(1 + 8 * k, 1 + end) for k, end in enumerate(ends)]  # window -1 has place 0
    centres = [(8 * k + end - 1) / 2 for k, end in enumerate(ends)]
    gains_db, changed = np.zeros((len(slots), 24)), spectra
    for _ in range(passes):
        for (k, slot), band in ((place, b) for place in enumerate(slots) for b in range(24)):
            level = np.square(np.abs(changed[slot, edges[band] : edges[band + 1]]) / 2048).mean()
            missing_db = sent_db[band, k] - 10 * np.log10(max(level, 1e-16))
            gains_db[k, band] = min(24, max(-60, gains_db[k, band] + missing_db))
        changed = spectra.copy()
        for band in range(24):
            known = [*([] if last_db is None else [last_db[band]]), *gains_db[:, band]]
            of_window = np.interp(numbers, [*([] if last_db is None else [1]), *centres], known)
            changed[:, edges[band] : edges[band + 1]] *= 10 ** (of_window / 20)[:, None]
    result = np.zeros(len(padded))
    for begin, spectrum in zip(begins, changed, strict=True):
        result[begin : begin + 2048] += window / 2 * np.fft.irfft(spectrum)
    return result[4096 + start :][:length], gains_db[-1]


@pytest.mark.parametrize("has_attacks", [False, True])
def test_the_document_suffices_for_level_restoration(has_attacks):
    """Two packets with bursts; some levels sent are out of reach, and one channel is silent."""
    random = np.random.default_rng(11)
    frames, active = [24, 21], np.array([True, False, True])
    samples = 0.01 * coloured(np.eye(3), 45 * 512, 12)
    samples[:, 9_000:9_400] *= 30
    samples[:, 14_000:14_300] *= 30
    restorer, start, last_db = LevelRestorer(512, 44_100), 0, [None, None]
    for count in frames:
        own = measure_parameters(samples[active, start : start + 512 * count], 0, 512 * count, 512, 44_100)
        levels_db = own.levels_db + random.uniform(-20, 15, own.levels_db.shape)
        levels_db[:, ::5] += 40
        levels_db[:, 2::5] -= 90
        sent = SpatialParameters(active, levels_db, own.correlations)
        begin = max(0, start - CONTEXT_SAMPLES)
        around = samples[:, begin : start + 512 * count + CONTEXT_SAMPLES]
        ours = restorer.restore(around, start - begin, 512 * count, sent, has_attacks)
        assert not ours[1].any()
        for row, channel in enumerate((0, 2)):
            theirs, last_db[row] = restored_by_the_document(
                samples[channel], start, count, levels_db[row], last_db[row], 1 + has_attacks
            )
            np.testing.assert_allclose(ours[channel], theirs, atol=1e-5 * np.abs(theirs).max())
        start += 512 * count
