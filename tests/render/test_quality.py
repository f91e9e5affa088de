import sys

import numpy as np

from render.quality import main


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
    assert lines[11] == "pareto against adm, elevation -10 to 10: better or equal in every measure"
    assert lines[12].startswith("front: ")
    shares, focus, error_deg = np.array([line.split() for line in lines[14:]], float).T[[0, 3, 4]]
    np.testing.assert_array_equal(shares, [0, 0.25, 0.5, 0.75, 1])
    # Along the front focus is given up for direction
    assert focus[-1] < focus[0]
    assert error_deg[-1] < error_deg[0]
