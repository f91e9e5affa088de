"""The training command: it runs, resumes bitwise, trains every format, and refuses what it cannot do."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from codec.bitstream.sizes import packet_frame_counts
from codec.checkpoints.model_file import load
from codec.coding.front_end import front_end_of
from codec.coding.pipeline import decode, encode
from codec.train import _holdout
from codec.training import checkpoint
from codec.training.config import TrainConfig, load_preset
from codec.training.export import newest_model
from codec.training.recordings import level_gain, measure_levels
from codec.training.run_folder import existing_run, new_run
from codec.training.validation import decoded_excerpt
from render.common.errors import InputError
from render.fileio.audio_file import read as read_audio
from render.hoa.layout import layout as named_layout
from render.hoa.scene import Feed, Scene


def table(run):
    """Rows of metrics.csv without the column that measures time."""
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds_per_step"]
    return rows


def assert_same_result(a, b, step):
    """Two runs end in the same bits."""
    ends = [run / "checkpoints" / f"{step:07d}" for run in (a, b)]
    for name in ("model", "ema", "disc", "trainer"):
        one, other = (load_file(end / f"{name}.safetensors") for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert table(a) == table(b)


def test_interrupted_training_ends_in_the_same_bits(tmp_path, type_in, material):
    smoke = ("--preset", "smoke", "--data", material(16))
    type_in(*smoke, "--run", "whole")
    whole, parts = (tmp_path / "runs" / name for name in ("whole", "parts"))
    shutil.copytree(whole, parts)  # as if it had been killed before the last checkpoint was written
    shutil.rmtree(parts / "checkpoints" / "0000020")
    type_in("--run", "parts", "--resume")
    assert_same_result(whole, parts, 20)
    rows = table(whole)
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 21)]
    assert [row["step"] for row in rows if row["val_mel"]] == ["10", "20"]
    assert [bool(row["adversarial"]) for row in rows] == [False] * 5 + [True] * 15
    assert [bool(row["quantizer"]) for row in rows] == [False] * 10 + [True] * 10
    assert {path.name for path in (whole / "samples").iterdir()} == {
        "reference.wav", "0000020.wav", "0000020.png",
    }  # fmt: skip
    best = checkpoint.best(whole / "checkpoints")
    assert best["step"] == 20
    assert best["val_mel"] == pytest.approx(float(rows[-1]["val_mel"]), rel=1e-5)


def test_a_fixed_encoder_learns_until_the_codebooks_are_fitted(tmp_path, type_in, material):
    text = (tmp_path / "tiny.toml").read_text()
    text = text.replace("quantizer_start = 2", "quantizer_start = 4\nfixed_encoder = true")
    (tmp_path / "fixed.toml").write_text(text)
    type_in("--preset", "fixed.toml", "--data", material(4), "--run", "r", "--until", 2)
    shutil.copytree(tmp_path / "runs/r/checkpoints/0000002", tmp_path / "early")
    type_in("--run", "r", "--resume")
    kept = tmp_path / "runs" / "r" / "checkpoints"
    places = [tmp_path / "early", kept / "0000004", kept / "0000008"]
    early, fitted, end = (load_file(place / "model.safetensors") for place in places)
    for part in ("encoder", "quantizer", "decoder"):
        names = [name for name in end if name.startswith(part)]
        moved = [not torch.equal(fitted[name], end[name]) for name in names]
        if part == "encoder":
            assert any(not torch.equal(early[name], fitted[name]) for name in names)
            assert not any(moved)
        if part == "decoder":
            assert all(moved)
    assert [bool(row["quantizer"]) for row in table(tmp_path / "runs" / "r")] == [False] * 4 + [True] * 4
    with pytest.raises(InputError, match="fixed_encoder needs steps"):
        TrainConfig(fixed_encoder=True)


@pytest.fixture
def side_info_preset(tmp_path):
    preset = (tmp_path / "tiny.toml").read_text().replace("channels = 4\n", "channels = 4\nside_layers = true\n")
    path = tmp_path / "side_info.toml"
    path.write_text(preset.replace("intensity", "waveform"))
    return path


def test_a_model_with_side_information_is_trained_on_components(tmp_path, type_in, material, side_info_preset):
    type_in("--preset", side_info_preset, "--data", material(4), "--run", "whole")
    whole, parts = (tmp_path / "runs" / name for name in ("whole", "parts"))
    made = sorted((whole / "components").glob("*.wav"))
    assert [path.name.split("-")[0] for path in made] == ["Beach.1", "Park.1"]  # not those that are held out
    config = load_preset(str(side_info_preset))[0]
    for path, source in zip(made, ("Beach.1", "Park.1"), strict=True):
        recording = material(4) / f"{source}.wav"
        original, _ = read_audio(recording)
        original = original * np.float32(level_gain(measure_levels(recording), -24.0, str(recording)))
        whole_frames = np.pad(original, ((0, 0), (0, -original.shape[1] % config.hop)))
        counts = packet_frame_counts(whole_frames.shape[1] // config.hop)
        packets = front_end_of(config).forward([whole_frames], counts)
        expected = np.concatenate([packet.samples for packet in packets], axis=1)
        gain = json.loads(path.with_name(path.name + ".json").read_text())["gain"]
        np.testing.assert_allclose(gain * read_audio(path)[0], expected, atol=gain * 2**-15)
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "checkpoints" / "0000008")
    before = {path: path.stat().st_mtime_ns for path in (parts / "components").iterdir()}
    type_in("--run", "parts", "--resume")
    assert before == {path: path.stat().st_mtime_ns for path in (parts / "components").iterdir()}
    assert_same_result(whole, parts, 8)


def test_a_run_interrupted_before_its_first_step_is_resumed(
    tmp_path, type_in, material, side_info_preset, monkeypatch
):
    """While the principal components are made."""

    def interrupted(*_):
        raise KeyboardInterrupt

    start = ("--preset", side_info_preset, "--data", material(4), "--run", "r", "--steps", 2, "--until", 1)
    with monkeypatch.context() as patch:
        patch.setattr("codec.training.component_files._write_components", interrupted)
        with pytest.raises(KeyboardInterrupt):
            type_in(*start)
    resumed = existing_run(Path("runs/r"), None, {}, [])
    assert (resumed.data, resumed.config.steps, resumed.model.side_layers) == ([material(4)], 2, True)
    new_run(Path("runs/r"), None, {}, [material(4)])  # the same command may begin it anew


def test_validation_is_what_a_file_gives(tmp_path, type_in, material, side_info_preset):
    """Not the components: direction and levels are those of the scene that is decoded."""
    type_in("--preset", side_info_preset, "--data", material(4), "--run", "r")
    model = newest_model(tmp_path / "runs" / "r")[0]
    item = torch.from_numpy(read_audio(material(4) / "Beach.8.wav")[0][None, :, :16384])
    item = item * (10 ** (-24 / 20) / item[0, 0].square().mean().sqrt())
    through = decoded_excerpt(model, item, True)[0].numpy()
    stream = decode(model, b"12345678", encode(model, b"12345678", Scene(item[0].numpy(), 44_100))).samples
    assert np.square(through - stream).mean() < 0.2 * np.square(stream).mean()


@pytest.mark.parametrize(
    ("setting", "message"), [("mix = 0.5", "mix"), ("weights = { intensity = 1.0 }", "intensity")]
)
def test_settings_that_need_channels_are_refused_for_components(
    tmp_path, type_in, material, side_info_preset, setting, message
):
    text = side_info_preset.read_text()
    kept = [line for line in text.splitlines() if line.split(" =")[0] != setting.split(" =")[0]]
    if message == "intensity":  # then the discriminators have no loss
        kept = kept[: kept.index("[discriminator]")] + kept[kept.index("[train]") :]
    side_info_preset.write_text("\n".join([*kept, setting, ""]))
    with pytest.raises(InputError, match=f"{message}.*component"):
        type_in("--preset", side_info_preset, "--data", material(4), "--run", "r")
    assert not (tmp_path / "runs").exists()


def test_a_run_is_repeated_by_its_own_preset(tmp_path, type_in, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "a", "--steps", 4)
    type_in("--preset", "runs/a/config.toml", "--data", material(4), "--run", "b")
    assert_same_result(tmp_path / "runs" / "a", tmp_path / "runs" / "b", 4)


@pytest.mark.parametrize(
    ("channels", "layout"), [(6, "0+5+0"), (12, "4+7+0"), (4, ""), (1, "")], ids=["5.1", "7.1.4", "FOA", "mono"]
)
def test_every_format_is_trained_published_and_run(tmp_path, type_in, publish_run, material, channels, layout):
    """Nothing is tied to 16 channels: what comes back has the format, and is nearer to the input than silence."""
    preset = (tmp_path / "tiny.toml").read_text()
    preset = preset.replace("channels = 4\n", f'channels = {channels}\nlayout = "{layout}"\n')
    if layout or channels == 1:
        preset = preset.replace("intensity = 0.5", "waveform = 0.5")
    (tmp_path / "format.toml").write_text(preset)
    type_in("--preset", "format.toml", "--data", material(channels), "--run", "r", "--steps", 3)
    columns = list(table(tmp_path / "runs" / "r")[0])
    assert ("val_direction_deg" in columns) == (channels == 4)
    assert ("val_level_LFE1_db" in columns or "val_level_LFE_db" in columns) == bool(layout)
    publish_run("runs/r", "--data", material(channels), "-o", "m.safetensors")
    card = json.loads((tmp_path / "m.json").read_text())
    assert list(card["measured"]) == [f"{material(channels).name}/{name}.8" for name in ("Beach", "Park")]
    assert ("mel_of_copied_w" in card["measured"][f"{material(channels).name}/Park.8"]) == (channels == 4)
    assert card["layers_bps"] == 0
    model, digest = load(tmp_path / "m.safetensors")
    # Without side information three packets: a sample's own, and those that encoder and decoder look ahead into
    assert card["delay_s"] == round(3 * 256 * model.config.hop / 44_100, 3)
    random = np.random.default_rng(1)
    samples = 0.05 * np.cumsum(random.standard_normal((channels, 8192)), axis=1).astype(np.float32)
    samples = (samples / np.abs(samples).max()).astype(np.float32)
    noun = Feed(samples, 44_100, named_layout(layout)) if layout else Scene(samples, 44_100)
    decoded = decode(model, digest, encode(model, digest, noun))
    assert type(decoded) is type(noun)
    assert decoded.samples.shape == samples.shape
    assert decoded.samples.std() > 1e-3


def test_command_line_refusals(tmp_path, type_in):
    (tmp_path / "runs" / "taken" / "checkpoints" / "0000004").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "metrics.csv").touch()  # of a first step
    with pytest.raises(InputError, match="use --resume"):
        type_in("--run", "taken")
    with pytest.raises(InputError, match="--data DIR is needed"):
        type_in("--run", "new")
    with pytest.raises(InputError, match="known are"):
        load_preset("nonsense")
    typo = tmp_path / "typo.toml"
    typo.write_text("[train]\nstepz = 3\n")
    with pytest.raises(InputError, match="no \\['stepz'\\]; did you mean steps\\?"):
        load_preset(str(typo))


def test_accumulated_parts_make_the_step_of_the_whole_batch(tmp_path, type_in, material):
    """Losses that are means over items: four parts of one item give what one part of four items gives.

    To rounding in the first step; later steps magnify it (Adam's first steps are near to the gradient's sign).
    """
    for parts in (1, 4):
        text = (tmp_path / "tiny.toml").read_text()
        text = text.replace("quantizer_start = 2", "quantizer_start = 0")
        text = text.replace("adversarial_start = 3", "adversarial_start = 0")
        text = text.replace("batch = 2\n", f"batch = 4\naccumulate = {parts}\nbalance = false\n")
        (tmp_path / f"{parts}.toml").write_text(text)
        type_in("--preset", f"{parts}.toml", "--data", material(4), "--run", parts, "--steps", 4)
    one, four = (table(tmp_path / "runs" / name) for name in ("1", "4"))
    for a, b in zip(one, four, strict=True):
        near = 2e-5 if a["step"] == "1" else 2e-3
        for name in ("mel", "covariance", "intensity", "quantizer", "discriminator", "feature", "gradient_norm"):
            assert float(a[name]) == pytest.approx(float(b[name]), rel=near), (a["step"], name)


def test_training_in_half_precision_is_near_to_full(tmp_path, type_in, material):
    for name in ("false", "true"):
        text = (tmp_path / "tiny.toml").read_text().replace("batch = 2\n", f"batch = 2\nbf16 = {name}\n")
        (tmp_path / "p.toml").write_text(text)
        type_in("--preset", "p.toml", "--data", material(4), "--run", name, "--steps", 4)
    full, half = (table(tmp_path / "runs" / name) for name in ("false", "true"))
    for name in ("mel", "covariance", "feature"):
        a, b = (float(rows[-1][name]) for rows in (full, half))
        assert a == pytest.approx(b, rel=0.1)
        assert a != b
    state = load_file(tmp_path / "runs" / "true" / "checkpoints" / "0000004" / "model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("text", "holdout"), [("8", 8), ("Beach", "Beach"), ("\u00b2", "\u00b2"), ("\u0663", "\u0663")]
)
def test_a_holdout_is_a_number_or_a_class(text, holdout):
    assert _holdout(text) == holdout
