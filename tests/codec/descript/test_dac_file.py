"""Files of the stock package are read as data; tests/attacks holds the ones that are refused."""

from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from codec.descript.dac_file import read_dac

GOLDEN = Path(__file__).parents[2] / "golden" / "dac"
VECTORS = load_file(GOLDEN / "mono.safetensors")


def test_an_unchunked_file():
    file = read_dac(GOLDEN / "whole.dac")
    assert (file.padding, file.chunk_length, file.original_length) == (True, 160, 1277)
    assert (file.input_db, file.sample_rate, file.channels, file.dac_version) == (-16.25, 44_100, 1, "1.0.0")
    assert np.array_equal(file.codes, VECTORS["codes"].numpy())


def test_a_chunked_file():
    file = read_dac(GOLDEN / "chunked.dac")
    assert (file.padding, file.chunk_length, file.original_length) == (False, 66, 1280)
    assert np.array_equal(file.codes, VECTORS["chunked_codes"].numpy())
