"""The rates that a stream can have, against the numbers of docs/codec.md."""

import pytest

from codec.bitstream.format import Header
from codec.bitstream.rates import codebooks_within, kbps_of, rates_text, reachable_kbps, replaced_text, within_rate
from render.common.errors import InputError


def header(**values):
    """The shipped model's, with 100 packets of full length."""
    fields = dict(
        model=b"modelsha", sample_rate_hz=44_100, channels=16, codebooks=18, model_codebooks=18, bits_per_code=10,
        hop=512, gain_q8_db=0, length=100 * 256 * 512, layout="ambiX", has_side_info=True,
    )  # fmt: skip
    return Header(**(fields | values))


def test_the_rates_are_those_of_the_shipped_model():
    """A packet of 256 · 512 samples: 1200 bytes of side information, 320 for a codebook, 4 of CRC."""
    seconds = 256 * 512 / 44_100
    expected = {n: 8 * (1200 + 320 * min(n, 14.25) + 4 + 0.56) / seconds / 1000 for n in range(1, 19)}
    assert reachable_kbps(header()) == pytest.approx(expected, rel=1e-9)
    assert kbps_of(header()) == pytest.approx(15.504, abs=0.02)
    assert reachable_kbps(header())[9] / kbps_of(header()) == pytest.approx(0.708, abs=0.01)  # not a half


def test_the_largest_rate_that_fits_is_chosen_and_errors_list_all():
    assert [codebooks_within(header(), kbps, "x") for kbps in (5.2, 10, 15.6, 1000)] == [2, 7, 18, 18]
    for bad in (4.1, 0, -1, float("nan")):
        with pytest.raises(
            InputError, match=r"there are 4\.10 \(1\), 4\.96 \(2\), .*, 15\.52 \(15 to 18\) kbit/s"
        ):
            codebooks_within(header(), bad, "x.arvq")
    assert rates_text(header(codebooks=2)) == "4.10 (1), 4.96 (2) kbit/s (codebooks)"


def test_which_codebooks_side_information_replaces():
    assert replaced_text(header()) == "side information takes the place of codebooks 15 to 18 of the model's 18"
    assert replaced_text(header(codebooks=3)) == replaced_text(header())
    assert replaced_text(header(has_side_info=False)) == ""


def test_coefficients_get_what_two_codebooks_leave():
    """A slot: 300 bytes of levels and correlations, 80 for a codebook, 34 for a unit with its envelope."""
    given = header(coefficient_units=30)
    found = {kbps: within_rate(given, kbps, "x") for kbps in (5.2, 7.0, 8.0, 12.0, 15.0, 15.6, 1000)}
    assert [(h.coefficient_units, h.codebooks) for h in found.values()] == [
        (0, 2), (5, 2), (8, 2), (19, 2), (27, 2), (30, 18), (30, 18),
    ]  # fmt: skip
    for kbps, chosen in found.items():
        assert kbps_of(chosen) <= kbps
    assert within_rate(header(), 10, "x").codebooks == codebooks_within(header(), 10, "x")
