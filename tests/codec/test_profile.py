"""codec.profile as it is typed."""

import json


def test_profile_measures(run_codec, coded_files, capsys):
    run_codec("profile", "--model", coded_files / "model.safetensors", "--seconds", 1, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] > 0
    assert found["encode_s_per_s"] > 0
    assert found["latency_s"] > 256 * 512 / 44_100  # the side information waits for its packet
    run_codec("profile", "--model", coded_files / "model.safetensors", "--seconds", 0.5)
    assert "4 x published mono" in capsys.readouterr().out
