"""The rule of switching by value: stimuli whose samples say which one and which position sounds."""

import numpy as np
import pytest

from listening.native_player.switching import Switcher, fade_in, fade_length, shortest_loop

RATE_HZ, FRAMES, N = 48_000, 60_000, 240
RAMP = 0.5 - 0.5 * np.cos(np.pi * (np.arange(N) + 0.5) / N)  # Hann's half, symmetric about its middle

# One channel is the position, the other the number of the stimulus
STIMULI = {
    slot: np.stack([np.arange(1, FRAMES + 1) / 2**16, np.full(FRAMES, slot + 1.0)]).astype(np.float32)
    for slot in range(3)
}


class Run:
    """A switcher and all that it has rendered, in blocks of 128."""

    def __init__(self):
        self.switcher = Switcher(RATE_HZ)
        self.switcher.set_map([0, 1])
        self.switcher.use(STIMULI)
        self.rendered = np.zeros((2, 0), np.float32)

    def go(self, blocks):
        block = np.empty((2, 128), np.float32)
        for _ in range(blocks):
            self.switcher.process(block)
            self.rendered = np.concatenate([self.rendered, block], axis=1)
        return self.rendered.shape[1]

    def plays(self, at, slot, position, length, ramp=1.0):
        """Assert what sounds from output sample `at` on."""
        expected = STIMULI[slot][:, position : position + length] * np.float32(ramp)
        np.testing.assert_array_max_ulp(self.rendered[:, at : at + length], expected.astype(np.float32), 1)

    def is_silent(self, at, length):
        assert not self.rendered[:, at : at + length].any()


def test_a_fade_is_a_raised_cosine_of_5_ms():
    assert [fade_length(rate) for rate in (44_100, 48_000, 96_000)] == [221, 240, 480]
    assert shortest_loop(48_000) == 24_000
    fade = fade_in(RATE_HZ)
    np.testing.assert_allclose(fade, np.sin(np.pi * (np.arange(N) + 0.5) / (2 * N)) ** 2, atol=6e-8)
    np.testing.assert_allclose(fade + fade[::-1], 1, atol=6e-8)


def test_a_switch_is_5_ms_out_and_5_ms_in_at_the_running_position():
    run = Run()
    run.switcher.play(0, 1000)
    at = run.go(100)
    run.switcher.play(2)
    run.go(100)
    run.plays(0, 0, 1000, N, RAMP)
    run.plays(N, 0, 1000 + N, at - N)
    run.plays(at, 0, 1000 + at, N, RAMP[::-1])
    run.plays(at + N, 2, 1000 + at + N, N, RAMP)
    run.plays(at + 2 * N, 2, 1000 + at + 2 * N, 5000)
    full = np.isin(run.rendered[1], [1, 3])  # at full level; the gap has no sample of both
    gap = np.flatnonzero(~full[N:]) + N
    assert (gap[0], gap[-1]) == (at, at + 2 * N - 1)


def test_of_several_requests_during_a_fade_the_last_one_follows_it():
    run = Run()
    run.switcher.play(0)
    at = run.go(50)
    run.switcher.play(1)
    run.go(1)
    run.switcher.play(2)
    run.switcher.play(1)
    run.switcher.play(2)
    run.go(1)  # the fade-in of 2 has begun
    assert run.switcher.slot == 2
    run.switcher.play(1)
    run.go(50)
    run.plays(at + N, 2, at + N, N, RAMP)
    run.plays(at + 2 * N, 2, at + 2 * N, N, RAMP[::-1])  # the fade-in was finished first
    run.plays(at + 3 * N, 1, at + 3 * N, N, RAMP)


def test_a_stop_keeps_the_position_and_a_start_goes_on_there():
    run = Run()
    run.switcher.play(1)
    at = run.go(20)
    run.switcher.stop()
    again = run.go(20)
    run.switcher.play(0)
    run.go(20)
    run.plays(at, 1, at, N, RAMP[::-1])
    run.is_silent(at + N, again - at - N)
    run.plays(again, 0, at + N, N, RAMP)


def test_a_seek_fades_out_where_it_was_and_in_where_it_goes():
    run = Run()
    run.switcher.play(1)
    at = run.go(20)
    run.switcher.seek(30_000)
    run.go(20)
    run.plays(at, 1, at, N, RAMP[::-1])
    run.plays(at + N, 1, 30_000, N, RAMP)


def test_a_loop_fades_at_its_ends_and_lasts_its_length():
    run = Run()
    run.switcher.play(0, 10_000)
    run.switcher.set_loop((10_000, 34_000))
    run.go(500)
    for turn in range(2):
        at = 24_000 * turn
        run.plays(at, 0, 10_000, N, RAMP)
        run.plays(at + N, 0, 10_000 + N, 24_000 - 2 * N)
        run.plays(at + 24_000 - N, 0, 34_000 - N, N, RAMP[::-1])


def test_a_loop_that_is_set_elsewhere_is_gone_to_with_fades():
    run = Run()
    run.switcher.play(0, 0)
    at = run.go(20)
    run.switcher.set_loop((30_000, 55_000))
    run.go(20)
    run.plays(at, 0, at, N, RAMP[::-1])
    run.plays(at + N, 0, 30_000, N, RAMP)


@pytest.mark.parametrize("left", [1, N, 2 * N - 1])
def test_where_no_two_fades_fit_before_the_end_playback_goes_to_the_start(left):
    run = Run()
    run.switcher.set_loop((5000, 50_000))
    run.switcher.play(0, 50_000 - left)
    run.go(5)
    run.plays(0, 0, 5000, N, RAMP)


def test_without_a_loop_playback_fades_and_stops_at_the_end_of_the_file():
    run = Run()
    run.switcher.play(0, FRAMES - 5000)
    run.go(60)
    run.plays(5000 - N, 0, FRAMES - N, N, RAMP[::-1])
    run.is_silent(5000, 60 * 128 - 5000)
    assert (run.switcher.slot, run.switcher.position) == (None, 0)


def test_a_switch_asked_for_in_the_last_fade_starts_at_the_beginning():
    run = Run()
    run.switcher.play(0, FRAMES - 128 * 20 - 100)
    at = run.go(20)
    run.switcher.play(1)
    run.go(20)
    end = at + 100
    run.plays(end - N, 0, FRAMES - N, N, RAMP[::-1])
    run.plays(end, 1, 0, N, RAMP)


def test_a_gain_changes_over_5_ms_and_at_0_dB_samples_are_those_of_the_file():
    run = Run()
    run.switcher.play(0)
    at = run.go(20)
    gain = np.float32(10 ** (-4 / 20))
    run.switcher.set_gain(gain)
    run.go(20)
    assert np.array_equal(run.rendered[:, N:at], STIMULI[0][:, N:at])
    np.testing.assert_allclose(run.rendered[1, at : at + N], 1 + (gain - 1) * RAMP, rtol=2e-7)
    assert np.array_equal(run.rendered[:, at + N :], STIMULI[0][:, at + N : 40 * 128] * gain)


def test_other_stimuli_are_used_after_a_fade_and_from_their_start():
    run = Run()
    run.switcher.play(0, 7000)
    at = run.go(20)
    other = {5: np.full((2, 30_000), 0.5, np.float32)}
    run.switcher.use(other)
    with pytest.raises(KeyError):
        run.switcher.play(0)
    run.switcher.play(5)
    run.go(20)
    run.plays(at, 0, 7000 + at, N, RAMP[::-1])
    assert np.array_equal(run.rendered[:, at + 2 * N :], np.full((2, 20 * 128 - 2 * N), 0.5, np.float32))
    assert (run.switcher.frames, run.switcher.position) == (30_000, 20 * 128 - N)


def test_a_map_is_changed_in_silence():
    run = Run()
    run.switcher.play(0)
    at = run.go(20)
    run.switcher.set_map([1, None])
    run.go(20)
    run.plays(at, 0, at, N, RAMP[::-1])
    assert np.array_equal(run.rendered[0, at + 2 * N :], STIMULI[0][1, at + 2 * N : 40 * 128])
    assert not run.rendered[1, at + N :].any()
