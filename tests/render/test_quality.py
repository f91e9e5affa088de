import sys

import numpy as np
from PIL import Image

from render.quality import main


def test_the_command_prints_the_table_and_draws(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "maps.png"
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "render.quality",
            "--layout",
            "5.1.4",
            "--decoder",
            "adm",
            "maxre",
            "-o",
            str(picture),
            "--width",
            "89mm",
        ],
    )
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["adm"] * 3 + ["maxre"] * 3
    with Image.open(picture) as drawn:
        assert (drawn.format, drawn.width) == ("PNG", int(89 / 25.4 * 200))


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
    assert [line.split()[0] for line in lines[14:]] == [f"pareto:{share:g}" for share in (0, 0.25, 0.5, 0.75, 1)]
    focus, error_deg = np.array([line.split()[1:] for line in lines[14:]], float).T[[2, 3]]
    # Along the front focus is given up for direction
    assert focus[-1] < focus[0]
    assert error_deg[-1] < error_deg[0]


def test_a_room_gets_every_decoder_that_it_can_have_and_the_reason_where_it_cannot(tmp_path, monkeypatch, capsys):
    room = tmp_path / "quad.toml"
    room.write_text(
        'name = "quad"\n[loudspeakers]\n'
        + "".join(f'"{deg}" = {{ azimuth = {deg} }}\n' for deg in (45, -45, 135, -135))
    )
    monkeypatch.setattr(sys, "argv", ["render.quality", "--layout", str(room), "--ambisonic-order", "1"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("layout quad, order 1")
    assert [line[:14].strip() for line in lines[2:17:3]] == ["adm", "maxre", "sampling", "pareto", "dual, low"]
    refused = [line.split(":")[0] for line in lines if "needs 4 independent directions" in line]
    assert refused == ["epad", "mode-matching"]
    assert "have 3" in next(line for line in lines if line.startswith("epad"))
