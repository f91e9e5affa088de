"""Layouts of IAMF. Entries printed by iamf-tools (gains of A1 to 3.1.2 and 7.1.2, in libiamf's h2m_rdr.c too)."""

import numpy as np
import pytest

from render.hoa.layout import downmix_parent, file_order, iamf_layout_names, layout
from render.loudspeakers.design import decoding_matrix


def test_names_and_channels():
    assert iamf_layout_names() == {
        "mono": "0+1+0", "3.1.2": "2+3+0", "7.1.2": "2+7+0", "9.1.6": "6+9+0", "7.1.5.4": "5+7+4",
    }  # fmt: skip
    assert layout("9.1.6").labels == (
        "M+060", "M-060", "M+000", "LFE1", "M+135", "M-135", "M+030", "M-030", "M+090", "M-090",
        "U+045", "U-045", "U+135", "U-135", "U+090", "U-090",
    )  # fmt: skip
    assert file_order(layout("7.1.2"), "wav")[1] == 0x563F
    assert downmix_parent(layout("7.1.4")) is None


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("3.1.2", 0, [5.014949e-01, 5.585162e-01, -1.888202e-01, -9.461285e-02]),
        ("3.1.2", 4, [1.21828541e-01, 1.04337290e-01, 2.37360549e-01, 1.53929699e-01]),
        ("7.1.2", 4, [1.94878652e-01, 3.62255148e-01, -2.17027277e-01, 3.29936121e-02]),
        ("7.1.2", 8, [3.034548e-01, 2.911810e-01, 5.851353e-01, 5.066455e-02]),
        ("mono", 0, [6.23757932e-01, 0.0, 0.0, 7.402541e-02]),
        ("7.1.5.4", 12, [1.37132e-01, -1.0e-05, 3.58194e-01, -1.5e-05]),
        # iamf-tools has the rows of B+045 and B-045 in the other order than its own labels
        ("7.1.5.4", 13, [1.97541e-01, 1.93099e-01, -3.80801e-01, 1.9351e-01]),
    ],
)
def test_entries_of_iamf(name, row, expected):
    np.testing.assert_allclose(decoding_matrix(layout(name), 1)[row], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["3.1.2", "7.1.2", "9.1.6"])
@pytest.mark.parametrize("order", [1, 3])
def test_what_the_parent_plays_is_played(name, order):
    """IAMF's static down-mix keeps every loudspeaker of the parent audible, and the LFE silent."""
    of = layout(name)
    whole, gains = downmix_parent(of)
    gains = np.array(gains)
    assert (np.square(gains).sum(axis=0)[[not s.is_lfe for s in whole.loudspeakers]] >= 0.49).all()
    matrix = decoding_matrix(of, order)
    np.testing.assert_allclose(matrix, gains @ decoding_matrix(whole, order), atol=1e-15)
    assert not matrix[of.labels.index("LFE1")].any()


def test_third_order_to_7_1_5_4_is_that_of_iamf():
    """W of the bottom front left loudspeaker, and the last two channels of the bottom rear right one, of A3."""
    matrix = decoding_matrix(layout("7.1.5.4"), 3)
    found = [matrix[13, 0], *matrix[16, -2:]]
    np.testing.assert_allclose(found, [0.14749, -0.001353, 0.029065], rtol=0, atol=1e-4)


def test_measured_positions_reach_the_parent():
    moved = layout("7.1.2").loudspeakers[:-2]
    from dataclasses import replace

    from render.hoa.layout import Layout

    high = tuple(replace(s, elevation_deg=45.0) for s in layout("7.1.2").loudspeakers[-2:])
    of = Layout("2+7+0", moved + high)
    assert np.abs(decoding_matrix(of, 3) - decoding_matrix(layout("7.1.2"), 3)).max() > 0.01
