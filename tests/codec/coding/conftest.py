"""A scene of four and a half packets, coded once for all tests of streams."""

import numpy as np
import pytest

from codec.bitstream.sizes import PACKET_FRAMES
from codec.coding.pipeline import decode, encode
from render.hoa.scene import Scene


@pytest.fixture(scope="session")
def long_scene():
    """Four packets and 3333 samples of noise in four channels."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 4 * PACKET_FRAMES * 512 + 3333))
    return Scene(samples.astype(np.float32), 44_100)


@pytest.fixture(scope="session", params=["paper", "side information"])
def coded_long_scene(request, model, side_info_model, long_scene):
    """Model, the stream of `long_scene`, and the samples that it is decoded to."""
    chosen = model if request.param == "paper" else side_info_model
    data = encode(chosen, b"12345678", long_scene)
    return chosen, data, decode(chosen, b"12345678", data).samples
