"""The command that publishes a run: what its card measures, and what it refuses."""

import json

import pytest

from render.common.errors import InputError


def test_a_card_measures_what_the_run_held_out(tmp_path, type_in, publish_run, material):
    preset = (tmp_path / "tiny.toml").read_text().replace("channels = 4\n", "channels = 4\nside_layers = true\n")
    preset = preset.replace("codebooks = 3\n", "codebooks = 8\n").replace("intensity", "waveform")
    (tmp_path / "side_info.toml").write_text(preset)
    type_in("--preset", "side_info.toml", "--data", material(4), "--run", "r", "--holdout", "Park", "--steps", 3)
    publish_run("runs/r", "--data", material(4), "-o", "m.safetensors")
    card = json.loads((tmp_path / "m.json").read_text())
    assert card["holdout"] == "Park"
    assert [name.split("/")[1] for name in card["measured"]] == ["Park.1", "Park.8"]
    # in 64 frames of 8 samples 37 bytes of parameters; 6 of 8 codebooks make room for them and 4 units
    assert card["layers_bps"] == pytest.approx(8 * (37 / 64 + 4 / 2 + 4 / 32) * 44_100 / 8, abs=0.05)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "Park.8.wav").symlink_to(material(4) / "Park.8.wav")
    publish_run("runs/r", "--data", "one", "-o", "one.safetensors")
    (row,) = json.loads((tmp_path / "one.json").read_text())["measured"].values()
    assert "mel_of_copied_w" in row
    assert "mel_to_nearest_other" not in row  # there is no other


def test_what_cannot_be_published_leaves_no_file(tmp_path, type_in, publish_run, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "early", "--steps", 2)
    with pytest.raises(InputError, match=r"runs/early: .* of step 2, .* fitted after step 2; continue"):
        publish_run("runs/early", "--data", material(4), "-o", "m.safetensors")
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--holdout", "Park", "--steps", 3)
    (tmp_path / "beach").mkdir()
    (tmp_path / "beach" / "Beach.8.wav").symlink_to(material(4) / "Beach.8.wav")
    with pytest.raises(InputError, match="beach: does not contain any recording of Park, which the run held out"):
        publish_run("runs/r", "--data", "beach", "-o", "m.safetensors")
    with pytest.raises(InputError, match=r"Park.1.wav: 6 channels, the model codes 4"):
        publish_run("runs/r", "--data", material(6), "-o", "m.safetensors")
    assert not list(tmp_path.glob("m.*"))
