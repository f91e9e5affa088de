"""codec.inspect as it is typed."""

import json

import pytest


def test_inspect_tells_where_the_bits_go(run_codec, coded_files, capsys):
    run_codec("inspect", coded_files / "x.arvq", "--json")
    found = json.loads(capsys.readouterr().out)[0]
    size = (coded_files / "x.arvq").stat().st_size
    assert found["bytes"] == size
    assert found["kbps"] == pytest.approx(8 * size / 10 / 1000)
    padding = found["kbps"] - sum(found["kbps_of"].values())
    assert 0 <= padding <= 7 * found["packets"] / 10 / 1000
    assert found["damaged_packets"] == []
    assert found["layout"] == "ambiX"
    run_codec("inspect", coded_files / "x.arvq")
    said = capsys.readouterr().out
    assert "ambiX, order 1, ACN/SN3D" in said
    assert f"{found['kbps']:.2f} (" in said.split("reachable:")[1]
    assert "side information takes the place of codebook" in said
    assert "recording:" not in said
