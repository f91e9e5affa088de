"""Packets, slots and the size of the side information, number by number from docs/bitstream.md."""

import pytest

from codec.bitstream.sizes import packet_frame_counts, side_info_bytes, slot_counts


@pytest.mark.parametrize(
    ("frames", "counts"),
    [(1, [1]), (255, [255]), (256, [256]), (511, [511]), (512, [256, 256]), (800, [256, 256, 288])],
)
def test_packets_have_256_frames_and_the_last_one_the_rest(frames, counts):
    assert packet_frame_counts(frames) == counts


@pytest.mark.parametrize(
    ("frames", "slots"),
    [(1, (1, 1)), (15, (1, 1)), (16, (2, 1)), (127, (15, 1)), (128, (16, 2)), (256, (32, 4)), (511, (63, 7))],
)
def test_slots_of_8_and_of_64_frames_hold_what_is_left_over(frames, slots):
    assert slot_counts(frames) == slots


@pytest.mark.parametrize(
    ("channels", "frames", "size"),
    [(16, 64, 300), (16, 127, 300), (16, 128, 600), (1, 64, 14), (2, 64, 20), (3, 64, 27), (256, 64, 62_265)],
)
def test_a_slot_takes_three_sixteenths_of_5_c_c_plus_1_and_12_c_and_48_rounded_up(channels, frames, size):
    assert side_info_bytes(channels, frames) == size
