import sys

import numpy as np
import pytest

from render.hoa.layout import layout
from render.hoa.spherical_harmonics import fibonacci_sphere
from render.loudspeakers.decoder_quality import Figures, figures, quality
from render.loudspeakers.design import decoding_matrix
from render.quality import main


def of_decoder(name, order, method):
    azimuth, elevation = fibonacci_sphere(20_000)
    return elevation, quality(decoding_matrix(layout(name), order, method), layout(name), azimuth, elevation)


def test_figures_of_the_reference_matrix():
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


def test_the_command_prints_the_table_and_draws(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "maps.png"
    monkeypatch.setattr(
        sys, "argv", ["render.quality", "--layout", "5.1.4", "--decoder", "adm", "maxre", "-o", str(picture)]
    )
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["adm"] * 3 + ["maxre"] * 3
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_comparison_with_the_standard_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv",
        ["render.quality", "--layout", "5.1", "--decoder", "pareto", "dual",
         "--ambisonic-order", "1", "--front"],
    )  # fmt: skip
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line[:10].strip() for line in lines[2:11:3]] == ["pareto", "dual, low", "dual, high"]
    assert lines[11] == "pareto against adm, elevation -10 to 10: better or equal in every figure"
    assert lines[12].startswith("front: ")
    shares, focus, error_deg = np.array([line.split() for line in lines[14:]], float).T[[0, 3, 4]]
    np.testing.assert_array_equal(shares, [0, 0.25, 0.5, 0.75, 1])
    # Along the front focus is given up for direction
    assert focus[-1] < focus[0]
    assert error_deg[-1] < error_deg[0]


def test_losses_name_what_is_worse():
    ours, theirs = Figures(1.0, 0.5, 0.8, 9.0, 20.0), Figures(2.0, 0.4, 0.8, 9.0, 19.0)
    assert ours.losses(theirs) == ["energy deviation", "95th percentile of the error"]
    assert ours.losses(ours) == []


def test_figures_are_of_the_served_region():
    of = layout("7.1.4")
    found = figures(decoding_matrix(of, 3), of)
    assert found.energy_range_db == pytest.approx(1.95 + 1.12, abs=0.02)
    assert found.focus == pytest.approx(0.843, abs=0.001)
    assert found.error_95_deg == pytest.approx(22.8, abs=0.1)
