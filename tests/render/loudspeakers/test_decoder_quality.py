"""Energy and direction measures of decoders against an independent program."""

import numpy as np
import pytest

from render.hoa.layout import layout
from render.hoa.spherical_harmonics import fibonacci_sphere
from render.loudspeakers.decoder_quality import QualitySummary, quality, quality_summary
from render.loudspeakers.design import decoding_matrix


def of_decoder(name, order, method):
    azimuth, elevation = fibonacci_sphere(20_000)
    return elevation, quality(decoding_matrix(layout(name), order, method), layout(name), azimuth, elevation)


def test_measures_of_the_reference_matrix():
    """Third order to 7.1.4 above -10 degrees, measured with the ADM renderer's matrix by another program."""
    elevation, found = of_decoder("4+7+0", 3, "adm")
    above = elevation > np.radians(-10)
    assert found.energy_db[above].min() == pytest.approx(-1.95, abs=0.01)
    assert found.energy_db[above].max() == pytest.approx(1.12, abs=0.01)
    assert found.energy_db[above].std() == pytest.approx(0.87, abs=0.01)
    assert found.re_length[above].mean() == pytest.approx(0.843, abs=0.001)
    assert found.re_error_deg[above].mean() == pytest.approx(9.95, abs=0.01)
    assert np.percentile(found.re_error_deg[above], 95) == pytest.approx(22.8, abs=0.1)
    assert found.rv_length[above].mean() == pytest.approx(0.800, abs=0.001)
    assert found.rv_error_deg[above].mean() == pytest.approx(3.2, abs=0.02)


def test_epad_has_no_energy_error_and_mode_matching_no_velocity_error():
    _, epad = of_decoder("9+10+3", 2, "epad")
    np.testing.assert_allclose(epad.energy_db, 0.0, atol=1e-9)
    _, matched = of_decoder("9+10+3", 2, "mode-matching")
    np.testing.assert_allclose(matched.rv_length, 1.0, atol=1e-9)
    np.testing.assert_allclose(matched.rv_error_deg, 0.0, atol=1e-4)


def test_a_scene_of_order_0_has_the_same_vectors_for_every_wave():
    _, found = of_decoder("4+7+0", 0, "adm")
    np.testing.assert_allclose(found.energy_db, 0.0, atol=1e-9)
    assert np.ptp(found.re_length) < 1e-12


def test_worse_measures_are_named():
    ours, theirs = QualitySummary(1.0, 0.5, 0.8, 9.0, 20.0), QualitySummary(2.0, 0.4, 0.8, 9.0, 19.0)
    assert ours.worse_than(theirs) == ["energy deviation", "95th percentile of the error"]
    assert ours.worse_than(ours) == []


def test_the_summary_covers_the_region_of_the_layout():
    of = layout("7.1.4")
    found = quality_summary(decoding_matrix(of, 3), of)
    assert found.energy_range_db == pytest.approx(1.95 + 1.12, abs=0.02)
    assert found.re_length == pytest.approx(0.843, abs=0.001)
    assert found.error_95_deg == pytest.approx(22.8, abs=0.1)
