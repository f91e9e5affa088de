"""Attacks: they are found where sounds begin, and what is louder before them is turned down."""

import numpy as np
import pytest

from codec.side_info.attacks import (
    BLOCK,
    CONTEXT_SAMPLES,
    SPANS,
    Attack,
    attenuate_before,
    find_attacks,
    level_power,
    read_attacks,
    write_attacks,
)
from codec.side_info.binary_coding import finished, reader, writer

LENGTH = 256 * 512


def burst(at, level=0.1, floor=0.0, channels=2, length=LENGTH + CONTEXT_SAMPLES):
    """Noise of a level from a sample on, over a floor of noise."""
    random = np.random.default_rng(0)
    x = random.standard_normal((channels, length)).astype(np.float32)
    x[:, :at] *= floor
    x[:, at:] *= level
    return x


@pytest.mark.parametrize("at", [5000, 64 * 500, LENGTH - 40, LENGTH + 2000])
def test_an_attack_is_found_in_its_block(at):
    """Also up to 36 blocks after the packet, since it changes the packet's end."""
    (attack,) = find_attacks(burst(at), 0, LENGTH)
    assert attack.block in (at // BLOCK, at // BLOCK + 1)
    assert attack.levels == (63, 63, 63) or at % BLOCK  # a block with a part of the sound may count as before it


def test_the_levels_are_those_of_the_spans():
    """Closed form: noise of -40, -46 and -52 dB in the three spans, rounded up to steps of 3 dB."""
    x = burst(500 * BLOCK, floor=1.0)
    for (first, last), level_db in zip(((36, 18), (18, 7), (7, 0)), (-40, -46, -52), strict=True):
        x[:, (500 - first) * BLOCK : (500 - last) * BLOCK] *= 10 ** (level_db / 20)
    x[:, : (500 - 36) * BLOCK] *= 10 ** (-40 / 20)
    (attack,) = find_attacks(x, 0, LENGTH)
    assert attack == Attack(500, (13, 15, 17))
    assert [round(10 * np.log10(level_power(level))) for level in attack.levels] == [-39, -45, -51]
    assert level_power(63) == 0


@pytest.mark.parametrize("rise_db", [6, 14])
def test_small_rises_are_no_attacks(rise_db):
    found = find_attacks(burst(500 * BLOCK, floor=0.1 * 10 ** (-rise_db / 20)), 0, LENGTH)
    assert [attack.block for attack in found] == ([500] if rise_db == 14 else [])


def test_steady_noise_and_silence_have_no_attacks():
    assert find_attacks(burst(0), 0, LENGTH) == []
    assert find_attacks(np.zeros((2, LENGTH), np.float32), 0, LENGTH) == []


def test_the_strongest_of_many_are_kept_in_order():
    x = np.zeros((1, LENGTH + CONTEXT_SAMPLES), np.float32)
    for number in range(30):
        x[0, 64 * (50 + 60 * number) :][:600] = 0.01 * (1 + number)
    found = find_attacks(x, 0, LENGTH)
    assert len(found) == 15
    assert [attack.block for attack in found] == sorted(attack.block for attack in found)


def test_attacks_are_read_as_they_were_written():
    attacks = [Attack(0, (0, 1, 63)), Attack(65_535, (5, 6, 7))]
    state, coded = writer(100)
    write_attacks(attacks, state, coded)
    data = finished(state, coded)
    assert read_attacks(*reader(data)) == attacks
    assert 8 * len(data) <= 4 + 2 * (16 + 18) + 16


def test_what_is_too_loud_before_an_attack_gets_its_level():
    """Constant signals: gains are exact in the inner blocks of the spans; what follows the attack is unchanged."""
    x = np.ones((2, 200 * BLOCK), np.float32)
    attenuate_before(x, [Attack(100, (10, 20, 63))])
    assert np.array_equal(x[:, 100 * BLOCK :], np.ones((2, 100 * BLOCK), np.float32))
    assert np.array_equal(x[:, : 63 * BLOCK], np.ones((2, 63 * BLOCK), np.float32))
    for (first, last), gain in zip(((36, 18), (18, 7), (7, 0)), (10**-1.5, 10**-3.0, 0), strict=True):
        inner = x[:, (100 - first + 1) * BLOCK : (100 - last - (1 if last else 0)) * BLOCK]
        np.testing.assert_allclose(inner, gain, rtol=1e-5)
    assert (np.abs(np.diff(x[0, : 99 * BLOCK])) < 0.05).all()  # no click but the attack


def test_nothing_is_turned_up_and_what_fits_is_left():
    x = 10 ** (-40 / 20) * np.sign(np.random.default_rng(0).standard_normal((2, 100 * BLOCK))).astype(np.float32)
    before = x.copy()
    attenuate_before(x, [Attack(50, (10, 13, 13)), Attack(700, (63, 63, 63))])  # -30 and -39 dB; behind the packet
    assert np.array_equal(x, before)


def test_an_attack_behind_the_packet_changes_its_end():
    x = np.ones((1, 100 * BLOCK - 10), np.float32)  # not in whole blocks
    attenuate_before(x, [Attack(110, (63, 63, 63))])
    assert not x[:, 75 * BLOCK :].any()
    assert x[:, : 73 * BLOCK].all()
    assert SPANS[0] == 36
