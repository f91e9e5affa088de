"""What is measured of a file."""

import io

import numpy as np
import pytest

from codec.bitstream.file import read_header, read_packets
from codec.bitstream.inspection import inspect


def test_entropy_is_that_of_the_codes(coded_files):
    data = io.BytesIO((coded_files / "x.arvq").read_bytes())
    codes = np.concatenate([p.codes for p in read_packets(data, read_header(data, "x"), "x")], axis=1)[0]
    share = np.bincount(codes) / len(codes)
    expected = -sum(p * np.log2(p) for p in share if p)
    assert inspect(coded_files / "x.arvq", "x")["entropy_bits"][0] == pytest.approx(expected)
