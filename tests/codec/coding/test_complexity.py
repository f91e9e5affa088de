"""Operations, counted as in the modules of the stock package."""

import pytest

from codec.coding import complexity
from codec.rvqgan.config import ModelConfig


def test_operations_are_those_of_the_reference():
    """GMAC per second of audio as counted in the modules of the stock package, see docs/codec.md."""
    ours = complexity.macs_per_second(ModelConfig())
    assert ours["encoder"] == pytest.approx(30.696e9, rel=1e-4)
    assert ours["decoder"] == pytest.approx(68.872e9, rel=1e-4)
    mono = complexity.macs_per_second(ModelConfig(channels=1))
    assert mono["encoder"] == pytest.approx(30.400e9, rel=1e-4)
    assert mono["decoder"] == pytest.approx(68.428e9, rel=1e-4)
