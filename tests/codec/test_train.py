"""The training command: it runs, resumes bitwise, and its gradients are weighted as promised."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from codec.bitstream.format import packet_frame_counts
from codec.checkpoints.channel_transfer import transfer
from codec.checkpoints.model_file import load
from codec.coding.pipeline import decode, encode
from codec.descript.conversion import read_model
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import Discriminator, DiscriminatorConfig
from codec.side_info.spatial_layer import Layer
from codec.training import checkpoint, trainer
from codec.training import config as training_config
from codec.training import validation as validate
from codec.training.distributed import Processes
from codec.training.excerpts import Excerpts, level_gain
from codec.training.export import newest_model
from codec.training.objective import MelSample, draw_mel_sample, output_gradient
from codec.training.state import State
from render.common.errors import InputError
from render.fileio.audio_file import read as read_audio
from render.fileio.audio_file import write_scene, writer
from render.hoa.layout import layout as named_layout
from render.hoa.scene import Feed, Scene

GOLDEN = Path(__file__).parents[1] / "golden"
ALONE = Processes(0, 1, torch.device("cpu"))


def corpus(folder, numbers=(1, 8), seconds=1.5):
    random = np.random.default_rng(0)
    for scene_class in ("Beach", "Park"):
        for number in numbers:
            noise = random.standard_normal((16, round(44_100 * seconds)))
            smooth = np.cumsum(noise - noise.mean(1, keepdims=True), axis=1)
            samples = 0.2 * smooth / np.abs(smooth).max() + 0.001 * noise
            scene = Scene(samples.astype(np.float32), 44_100)
            write_scene(folder / f"{scene_class}.{number}.wav", scene, "PCM_16")
    return folder


def table(run):
    """Rows of metrics.csv without the column that measures time."""
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds_per_step"]
    return rows


def assert_same_end(a, b, step):
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
    shutil.copytree(whole, parts)  # as if it had ended before the last checkpoint was written
    shutil.rmtree(parts / "checkpoints" / "0000020")
    type_in("--run", "parts", "--resume")
    assert_same_end(whole, parts, 20)
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
        training_config.TrainConfig(fixed_encoder=True)


@pytest.fixture
def layered_preset(tmp_path):
    preset = (tmp_path / "tiny.toml").read_text().replace("channels = 4\n", "channels = 4\nside_layers = true\n")
    path = tmp_path / "layered.toml"
    path.write_text(preset.replace("intensity", "waveform"))
    return path


def test_a_network_behind_the_layer_learns_from_components(tmp_path, type_in, material, layered_preset):
    type_in("--preset", layered_preset, "--data", material(4), "--run", "whole")
    whole, parts = (tmp_path / "runs" / name for name in ("whole", "parts"))
    made = sorted((whole / "components").glob("*.wav"))
    assert [path.name.split("-")[0] for path in made] == ["Beach.1", "Park.1"]  # not those that are held out
    config = training_config.load_preset(str(layered_preset))[0]
    for path, source in zip(made, ("Beach.1", "Park.1"), strict=True):
        original, _ = read_audio(material(4) / f"{source}.wav")
        original = original * np.float32(level_gain(material(4) / f"{source}.wav", -24.0))
        whole_frames = np.pad(original, ((0, 0), (0, -original.shape[1] % config.hop)))
        counts = packet_frame_counts(whole_frames.shape[1] // config.hop)
        packets = Layer(config).components([whole_frames], counts)
        expected = np.concatenate([packet.samples for packet in packets], axis=1)
        gain = json.loads(path.with_name(path.name + ".json").read_text())["gain"]
        np.testing.assert_allclose(gain * read_audio(path)[0], expected, atol=gain * 2**-15)
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "checkpoints" / "0000008")
    before = {path: path.stat().st_mtime_ns for path in (parts / "components").iterdir()}
    type_in("--run", "parts", "--resume")
    assert before == {path: path.stat().st_mtime_ns for path in (parts / "components").iterdir()}
    assert_same_end(whole, parts, 8)
    # interrupted while they were made: the same command goes on
    (tmp_path / "runs" / "again" / "components").mkdir(parents=True)
    type_in("--preset", layered_preset, "--data", material(4), "--run", "again", "--until", 1)


def test_what_is_validated_is_what_a_stream_gives(tmp_path, type_in, material, layered_preset):
    """Not the components: direction and levels are those of the scene that is decoded."""
    type_in("--preset", layered_preset, "--data", material(4), "--run", "r")
    model = newest_model(tmp_path / "runs" / "r")[0]
    item = torch.from_numpy(read_audio(material(4) / "Beach.8.wav")[0][None, :, :16384])
    item = item * (10 ** (-24 / 20) / item[0, 0].square().mean().sqrt())
    through = validate.through(model, item, True)[0].numpy()
    stream = decode(model, b"12345678", encode(model, b"12345678", Scene(item[0].numpy(), 44_100))).samples
    assert np.square(through - stream).mean() < 0.2 * np.square(stream).mean()


@pytest.mark.parametrize(
    ("setting", "says"), [("mix = 0.5", "mix"), ("weights = { intensity = 1.0 }", "intensity")]
)
def test_what_components_cannot_do_is_refused(tmp_path, type_in, material, layered_preset, setting, says):
    text = layered_preset.read_text()
    kept = [line for line in text.splitlines() if line.split(" =")[0] != setting.split(" =")[0]]
    if says == "intensity":  # then the discriminators have no loss
        kept = kept[: kept.index("[discriminator]")] + kept[kept.index("[train]") :]
    layered_preset.write_text("\n".join([*kept, setting, ""]))
    with pytest.raises(InputError, match=f"{says}.*component"):
        type_in("--preset", layered_preset, "--data", material(4), "--run", "r")
    assert not (tmp_path / "runs").exists()


def test_a_run_is_repeated_by_its_own_preset(tmp_path, type_in, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "a", "--steps", 4)
    type_in("--preset", "runs/a/config.toml", "--data", material(4), "--run", "b")
    assert_same_end(tmp_path / "runs" / "a", tmp_path / "runs" / "b", 4)


def test_golden_loss_curve(tmp_path, material):
    """20 steps of the smoke preset, begun at random: eigenvectors and k-means depend on the machine."""
    model, config = training_config.load_preset("smoke")
    config = replace(config, initialisation="default", quantizer_start=0, revive_every=0, sample_every=0)
    trainer.train(model, config, [material(16)], tmp_path / "run", False, 20)
    golden = json.loads((GOLDEN / "training_curve.json").read_text())
    rows = table(tmp_path / "run")
    for name, expected in golden["curves"].items():
        found = [float(row[name]) for row in rows if row[name]]
        assert found == pytest.approx(expected, rel=1e-3), name


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
    random = np.random.default_rng(1)
    samples = 0.05 * np.cumsum(random.standard_normal((channels, 8192)), axis=1).astype(np.float32)
    samples = (samples / np.abs(samples).max()).astype(np.float32)
    noun = Feed(samples, 44_100, named_layout(layout)) if layout else Scene(samples, 44_100)
    decoded = decode(model, digest, encode(model, digest, noun))
    assert type(decoded) is type(noun)
    assert decoded.samples.shape == samples.shape
    assert decoded.samples.std() > 1e-3


def test_a_card_measures_what_the_run_held_out(tmp_path, type_in, publish_run, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--holdout", "Park", "--steps", 3)
    publish_run("runs/r", "--data", material(4), "-o", "m.safetensors")
    card = json.loads((tmp_path / "m.json").read_text())
    assert card["holdout"] == "Park"
    assert [name.split("/")[1] for name in card["measured"]] == ["Park.1", "Park.8"]
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "Park.8.wav").symlink_to(material(4) / "Park.8.wav")
    publish_run("runs/r", "--data", "one", "-o", "one.safetensors")
    (row,) = json.loads((tmp_path / "one.json").read_text())["measured"].values()
    assert "mel_of_copied_w" in row
    assert "mel_to_nearest_other" not in row  # there is no other


def test_what_cannot_be_published_leaves_no_file(tmp_path, type_in, publish_run, material):
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "early", "--steps", 2)
    with pytest.raises(InputError, match=r"runs/early: .* of step 2, .* fitted after step 2; go on"):
        publish_run("runs/early", "--data", material(4), "-o", "m.safetensors")
    type_in("--preset", "tiny.toml", "--data", material(4), "--run", "r", "--holdout", "Park", "--steps", 3)
    (tmp_path / "beach").mkdir()
    (tmp_path / "beach" / "Beach.8.wav").symlink_to(material(4) / "Beach.8.wav")
    with pytest.raises(InputError, match="beach: no recording of Park is there, which the run held out"):
        publish_run("runs/r", "--data", "beach", "-o", "m.safetensors")
    with pytest.raises(InputError, match=r"Park.1.wav: 6 channels, the model codes 4"):
        publish_run("runs/r", "--data", material(6), "-o", "m.safetensors")
    assert not list(tmp_path.glob("m.*"))


def test_command_line_refusals(tmp_path, type_in):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    with pytest.raises(InputError, match="use --resume"):
        type_in("--run", "taken")
    with pytest.raises(InputError, match="--data DIR is needed"):
        type_in("--run", "new")
    with pytest.raises(InputError, match="known are"):
        training_config.load_preset("nonsense")
    typo = tmp_path / "typo.toml"
    typo.write_text("[train]\nstepz = 3\n")
    with pytest.raises(InputError, match="no \\['stepz'\\]; did you mean steps\\?"):
        training_config.load_preset(str(typo))


def test_every_preset_can_be_read():
    presets = sorted(path.stem for path in (Path(training_config.__file__).parents[1] / "presets").glob("*.toml"))
    assert {"small", "smoke", "published44", "paper", "base"} <= set(presets)
    for name in presets:
        model_config, config = training_config.load_preset(name)
        training_config.check_fit(model_config, config)
        assert config.steps > 0
        assert model_config.hop == 512


def test_the_paper_preset_is_what_was_published():
    """44khz-16kbps.yml and base.yml of descript-audio-codec 1.0.0; the paper's batch, steps, covariance."""
    model, config = training_config.load_preset("paper")
    assert config.discriminator_config(model) == DiscriminatorConfig(16, 44_100)
    assert config.weights == {"mel": 15.0, "covariance": 1.0, "adversarial": 1.0, "feature": 2.0}
    assert (config.commitment, config.codebook, config.steps, config.batch) == (0.25, 1.0, 400_000, 24)
    assert trainer.learning_rate(config, 0) == 1e-4
    assert trainer.learning_rate(config, 399_999) == pytest.approx(1e-4 * 0.2019, rel=1e-3)
    assert (config.betas, config.weight_decay) == ((0.8, 0.99), 1e-2)
    assert (config.clip_norm, config.discriminator_clip_norm) == (1e3, 10.0)


def test_batches_are_a_function_of_seed_and_step(tmp_path):
    corpus(tmp_path)
    paths = sorted(tmp_path.glob("*.wav"))

    def excerpts(seed=1, turn=True):
        return Excerpts(paths, 2048, 16, 44_100, level_dbfs=-24.0, turn=turn, seed=seed)

    assert torch.equal(excerpts().batch(7, 3), excerpts().batch(7, 3))
    assert not torch.equal(excerpts().batch(7, 3), excerpts().batch(8, 3))
    assert not torch.equal(excerpts().batch(7, 3), excerpts(seed=2).batch(7, 3))
    # turning and mirroring keep the energy of every order
    plain, turned = excerpts(turn=False), excerpts()
    for step in range(3):
        x, y = turned.batch(step, 2), turned.batch(step, 2)
        assert torch.equal(x, y)
    assert plain.gains == [level_gain(path, -24.0) for path in paths]


def test_level_gain_brings_channel_0_to_the_level(tmp_path):
    samples = np.zeros((16, 44_100), np.float32)
    samples[0] = 0.01 * np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100)
    write_scene(tmp_path / "s.wav", Scene(samples, 44_100))
    expected = 10 ** (-24 / 20) / (0.01 / np.sqrt(2))
    assert level_gain(tmp_path / "s.wav", -24.0) == pytest.approx(expected, rel=1e-4)


def noises(channels=16):
    random = np.random.default_rng(0)
    x = torch.from_numpy(0.1 * random.standard_normal((2, channels, 4096)).astype(np.float32))
    return x, x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def test_balanced_gradients_have_the_norms_of_their_weights():
    """One loss: the gradient has norm `weight`; without weight nothing is computed."""
    model, config = training_config.load_preset("smoke")
    x, y = noises()
    sample = draw_mel_sample(config, 16, np.random.default_rng(0))
    judge = Discriminator(config.discriminator_config(model))
    for weights in (
        {"mel": 2.0}, {"covariance": 0.5}, {"waveform": 3.0}, {"band_covariance": 1.0}, {"intensity": 0.3},
        {"relative_covariance": 2.0}, {"adversarial": 0.7}, {"feature": 2.0},
    ):  # fmt: skip
        adversarial = {"adversarial", "feature"} & set(weights)
        table = config.discriminator if adversarial else None
        one = replace(config, weights=weights, balance=True, discriminator=table)
        norms = {}
        values, gradient = output_gradient(x, y, 44_100, one, sample, norms, judge if adversarial else None, ALONE)
        assert list(values) == list(weights) == list(norms)
        assert gradient.norm().item() == pytest.approx(next(iter(weights.values())), rel=1e-4)
        assert all(p.grad is None for p in judge.parameters())
    loose = replace(config, weights={"waveform": 3.0}, balance=False, discriminator=None)
    values, gradient = output_gradient(x, y, 44_100, loose, sample, {}, None, ALONE)
    y.requires_grad_()
    from codec.losses.waveform import waveform_distance

    (3.0 * waveform_distance(x, y)).backward()
    torch.testing.assert_close(gradient, y.grad)


def test_running_norms_forget():
    """Of one loss, g1 then g2: the second gradient is divided by 0.9 |g1| + 0.1 |g2|."""
    _, config = training_config.load_preset("smoke")
    config = replace(config, weights={"waveform": 1.0}, discriminator=None)
    x, y = noises()
    sample, norms = MelSample(None, ()), {}
    output_gradient(x, y, 44_100, config, sample, norms, None, ALONE)
    first = float(norms["waveform"])
    _, gradient = output_gradient(x, x + 3 * (y - x), 44_100, config, sample, norms, None, ALONE)
    # the gradient of a squared error is linear in the error
    assert gradient.norm().item() == pytest.approx(3 / (0.9 + 0.3), rel=1e-4)
    assert float(norms["waveform"]) == pytest.approx(1.2 * first, rel=1e-4)


def test_the_mel_distance_takes_channel_0_and_others_in_turn():
    _, config = training_config.load_preset("smoke")
    config = replace(config, mel_channels=3, mel_scales=2)
    samples = [draw_mel_sample(config, 16, np.random.default_rng(seed)) for seed in range(200)]
    assert all(s.channels[0] == 0 and len(set(s.channels)) == 3 and len(s.scales) == 2 for s in samples)
    counts = np.bincount([c for s in samples for c in s.channels[1:]], minlength=16)
    assert counts[0] == 0
    assert counts[1:].min() > 10  # 200 x 2 / 15 = 27 expected
    whole = draw_mel_sample(replace(config, mel_channels=0, mel_scales=0), 16, np.random.default_rng(0))
    assert whole.channels is None
    assert len(whole.scales) == 7


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


def test_schedule():
    _, config = training_config.load_preset("small")
    config = replace(config, steps=1000, warmup_steps=10, decay_share=0.25, learning_rate=1.0)
    rates = [trainer.learning_rate(config, step) for step in (0, 9, 500, 750, 875, 999)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.53, 0.034])
    falling = replace(config, warmup_steps=0, decay_share=0.0, gamma=0.999)
    assert [trainer.learning_rate(falling, step) for step in (0, 1, 500)] == pytest.approx([1, 0.999, 0.999**500])


def test_running_mean_of_the_weights():
    """Weights 0 and, from then on, 1: after n steps of decay d the mean is 1 - d^n; short memory at first."""
    _, config = training_config.load_preset("smoke")
    model = ModelConfig(channels=1, encoder_dim=1, decoder_dim=16, latent_dim=4, codebooks=1, dilations=())
    state = State(model, replace(config, ema=0.75, weights={"mel": 1.0}, discriminator=None))
    with torch.no_grad():
        for networks, value in ((state.model, 1.0), (state.ema, 0.0)):
            for parameter in networks.parameters():
                parameter.fill_(value)
    expected = 0.0
    for step in (1, 2, 1000, 1001):
        state.step = step
        state.average()
        expected += (1 - min(0.75, (1 + step) / (10 + step))) * (1 - expected)
        mean = torch.cat([p.flatten() for p in state.ema.parameters()])
        torch.testing.assert_close(mean, torch.full_like(mean, expected))


def tiny_training(tmp_path, **settings):
    """Two steps of a tiny stereo model; returns its newest checkpoint."""
    random = np.random.default_rng(0)
    for number in (1, 8):
        noise = 0.1 * random.standard_normal((2, 30_000)).astype(np.float32)
        with writer(tmp_path / f"Beach.{number}.wav", 2, 44_100, "PCM_16", force=True) as file:
            file.write(noise)
    model = ModelConfig(
        channels=2, encoder_dim=4, decoder_dim=16, strides=(2, 4), latent_dim=8, codebooks=4, codebook_size=32,
        codebook_dim=4,
    )  # fmt: skip
    config = training_config.TrainConfig(
        steps=2, batch=1, excerpt_frames=4096, turn=False, weights={"waveform": 1.0}, balance=False, **settings
    )
    trainer.train(model, config, [tmp_path], tmp_path / "run", False, 2)
    return checkpoint.load(tmp_path / "run" / "checkpoints" / "0000002")[0]["model"]


def test_training_can_start_from_transferred_weights_and_leave_dead_codes_alone(tmp_path):
    """Two steps at a rate of 1e-9 move nothing: what is there is the mono checkpoint, repeated."""
    mono = GOLDEN / "dac" / "mono.pth"
    start = f"transfer:{mono}"
    state = tiny_training(tmp_path, initialisation=start, revive_every=0, learning_rate=1e-9)
    expected = transfer(read_model(mono), 2)
    model = RVQGAN(expected.config)
    model.load_state_dict(state)
    for name, tensor in model.fold_weight_norm().state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_an_unknown_initialisation_is_refused(tmp_path):
    with pytest.raises(InputError, match="initialisation = 'magic'; known are pca, default and transfer:FILE"):
        tiny_training(tmp_path, initialisation="magic")
    with pytest.raises(InputError, match="no such file"):
        tiny_training(tmp_path, initialisation="transfer:nowhere.safetensors")
