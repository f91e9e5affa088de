"""Which losses the generator minimises."""

from dataclasses import replace

import numpy as np

from codec.training.config import load_preset
from codec.training.objective import draw_mel_subset


def test_the_mel_distance_takes_channel_0_and_others_in_turn():
    _, config = load_preset("smoke")
    config = replace(config, mel_channels=3, mel_scales=2)
    samples = [draw_mel_subset(config, 16, np.random.default_rng(seed)) for seed in range(200)]
    assert all(s.channels[0] == 0 and len(set(s.channels)) == 3 and len(s.scales) == 2 for s in samples)
    counts = np.bincount([c for s in samples for c in s.channels[1:]], minlength=16)
    assert counts[0] == 0
    assert counts[1:].min() > 10  # 200 x 2 / 15 = 27 expected
    whole = draw_mel_subset(replace(config, mel_channels=0, mel_scales=0), 16, np.random.default_rng(0))
    assert whole.channels is None
    assert len(whole.scales) == 7
