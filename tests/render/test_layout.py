import json
import sys

import numpy as np
import pytest

from render.common.errors import InputError
from render.layout import main


def test_a_room_is_described_and_written_with_its_decoder(tmp_path, monkeypatch, capsys):
    (tmp_path / "room.toml").write_text(
        'name = "room"\n[loudspeakers]\nA = { azimuth = 90, distance = 2 }\nB = { azimuth = -90, distance = 3 }\n'
        "S = { lfe = true }\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["render.layout", "room.toml", "--decoder", "sampling", "--ambisonic-order", "1", "-o", "room.json"]
    monkeypatch.setattr(sys, "argv", words)
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "room: 2 loudspeakers, 1 LFE channels"
    assert lines[1].split() == ["1", "A", "azimuth", "90.00", "elevation", "0.00", "2.00", "m"]
    assert lines[3].split() == ["3", "S", "LFE"]
    matrix = np.array(json.loads((tmp_path / "room.json").read_text())["Decoder"]["Matrix"])
    # Sampling: W and Y alone, with the ratio 3 of SN3D's orders, and a mean power of 1: 2 g² (1 + 9/3)
    np.testing.assert_allclose(matrix, np.sqrt(1 / 8) * np.array([[1, 3, 0, 0], [1, -3, 0, 0]]), atol=1e-15)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["5.1", "-o", "x.csv"], "ends in .toml or .json"), (["5.1", "--decoder", "adm"], "add -o FILE.json")],
)
def test_what_cannot_be_written_is_refused(monkeypatch, words, message):
    monkeypatch.setattr(sys, "argv", ["render.layout", *words])
    with pytest.raises(InputError, match=message):
        main()
