"""The conditions by their ids: what each does to a scene whose content is known."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from codec.checkpoints.model_file import load, save
from codec.coding.pipeline import encode
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from listening.conditions import anchors
from listening.conditions.alignment import measured_lag
from listening.conditions.registry import condition, needs_libopus
from listening.opus_codec import codec as opus
from listening.test_design.test_plan import load_plan
from render.common.errors import InputError
from render.common.files import sha256
from render.hoa.scene import Scene

ROOT = Path(__file__).parents[3]
RATE = 44100
TINY = ModelConfig(encoder_dim=2, decoder_dim=16, latent_dim=8, codebooks=2, dilations=())


@pytest.fixture(scope="module")
def scene():
    random = np.random.default_rng(5)
    # Red noise in W, less in the higher orders, as in a recording
    noise = np.cumsum(random.standard_normal((16, RATE // 2)), axis=1)
    noise -= np.apply_along_axis(np.convolve, 1, noise, np.ones(201) / 201, "same")
    noise *= np.where(np.arange(16) == 0, 1.0, 0.3)[:, None] * 0.1 / noise.std()
    return Scene(noise.astype(np.float32), RATE)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(path, RVQGAN(TINY).fold_weight_norm(), {"what": "random weights"})
    return path


def test_the_hidden_reference_is_the_reference(scene):
    made = condition("href").apply(scene)
    assert np.array_equal(made.scene.samples, scene.samples)
    assert made.payload is None


@pytest.mark.parametrize(("name", "cutoff_hz"), [("la", 3500.0), ("ma", 7000.0)])
def test_anchors(scene, name, cutoff_hz):
    anchor = condition(name)
    assert anchor.parameters == {"cutoff_hz": cutoff_hz}
    assert np.array_equal(anchor.apply(scene).scene.samples, anchors.low_pass(scene, cutoff_hz).samples)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("opus3_160", opus.PAPER),
        ("opus3_256_music", opus.OpusSettings(bitrate_bps=256_000, signal="music")),
        ("opus2_160_cbr", opus.OpusSettings(bitrate_bps=160_000, family=2, vbr=False)),
    ],
)
def test_opus_settings_follow_from_the_id(name, settings):
    made = condition(name).parameters
    assert made["settings"] == str(settings)
    assert made["libopus"].startswith("libopus ")


def test_opus_is_aligned_and_its_payload_is_a_complete_file(scene):
    made = condition("opus3_160").apply(scene)
    assert made.scene.samples.shape == scene.samples.shape
    assert measured_lag(scene, made.scene, 8) == 0
    assert made.suffix == ".opus"
    again = opus.decode(made.payload)
    assert again.length == round(scene.length * 48000 / RATE)
    assert made.facts["coded_peak"] == opus.coded_peak(scene.samples)


def test_the_proposed_codec_goes_through_its_bit_stream(scene, model, tmp_path):
    sizes = {}
    by_parameters = {"small": {"model": str(model), "codebooks": 1}}
    for name in ("prop", "prop_1cb", *by_parameters):
        given = by_parameters.get(name)
        proposed = condition(name, None if given else model, given)
        assert proposed.parameters["model_sha256"] == sha256(model)
        made = proposed.apply(scene)
        assert made.scene.samples.shape == scene.samples.shape
        sizes[name] = len(made.payload)
        codebooks = given["codebooks"] if given else proposed.parameters["codebooks"]
        assert made.payload == encode(*load(model), scene, codebooks)
    assert sizes["prop_1cb"] == sizes["small"] < sizes["prop"]


def test_the_stream_for_live_use_is_a_condition_and_needs_side_information(scene, model, tmp_path):
    network = RVQGAN(replace(TINY, side_layers=True)).fold_weight_norm()
    save(tmp_path / "side.safetensors", network, {})
    proposed = condition("prop_low_delay", tmp_path / "side.safetensors")
    assert proposed.parameters["low_delay"] is True
    made = proposed.apply(scene)
    assert made.scene.samples.shape == scene.samples.shape
    assert made.payload[5] & 4  # the flag of docs/bitstream.md
    with pytest.raises(InputError, match=r"tiny\.safetensors: has no side information"):
        condition("prop_low_delay", model)


def test_truncation_silences_the_orders_above(scene):
    made = condition("order_1").apply(scene).scene.samples
    assert np.array_equal(made[:4], scene.samples[:4])
    assert not made[4:].any()
    assert scene.samples[4:].any()  # the reference was not written to


@pytest.mark.parametrize(
    "name",
    ["", "H-REF", "opus", "opus3_0", "opus3_016", "opus3_16000", "opus4_160", "prop_0cb", "order_7", "la ", "la\n",
     "../la", "opus3_1٦0", "pca_opus_0", "pca_opus_1000", "mono_x", "cov_noise_2"],
)  # fmt: skip
def test_unknown_conditions_are_refused(name):
    with pytest.raises(InputError, match="known are href"):
        condition(name)


def test_a_missing_model_is_told_before_the_work(tmp_path):
    with pytest.raises(InputError, match="no such model file"):
        condition("prop", tmp_path / "no.safetensors")


def test_more_codebooks_than_the_model_has_are_refused_before_the_work(model, tmp_path):
    for name, given in (("prop_3cb", None), ("mine", {"model": str(model), "codebooks": 3})):
        with pytest.raises(InputError, match=r"tiny\.safetensors: has 2 codebooks, 3 are asked for"):
            condition(name, model, given)
    (tmp_path / "x.safetensors").write_bytes(b"no model")
    with pytest.raises(InputError, match="not a model file of this codec"):
        condition("prop", tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opus3_7", "possible with 16 channels are 8000 to 4800000"),
        ("opus2_4801_cbr", "possible with 16 channels"),
        ("pca_opus_7", "possible are 8 to 256"),
        ("pca_opus_257", "possible are 8 to 256"),
        ("opus3_160_cbr", "did you mean opus2_160_cbr"),
        ("pcaopus_64", "did you mean pca_opus_64"),
    ],
)
def test_impossible_rates_and_near_misses_are_told_before_the_work(name, message):
    with pytest.raises(InputError, match=message):
        condition(name)


def test_mono_w_is_w_alone(scene):
    made = condition("mono_w")
    assert made.expected.active_channels == 1
    assert np.array_equal(made.apply(scene).scene.samples, condition("order_0").apply(scene).scene.samples)


def test_which_conditions_need_libopus():
    names = ("href", "la", "prop", "cov_noise", "opus3_160", "opus2_160_cbr", "pca_opus_16")
    assert [name for name in names if needs_libopus(name)] == ["opus3_160", "opus2_160_cbr", "pca_opus_16"]
    assert not needs_libopus("opus3_160", {"command": "x {input} {output}"})


@pytest.mark.parametrize("plan", ["demo", "full", "critical"])
def test_every_condition_of_the_plans_that_come_with_the_package_can_be_made(plan):
    names = load_plan(plan).conditions
    assert [condition(name).id for name in names] == list(names)


def test_only_worker_processes_import_pytorch_before_one_of_them_is_forked():
    script = (
        "import sys; from listening.stimulus_build.plan_builder import Plan, check_conditions\n"
        "from render.common.parallel import in_parallel\n"
        "check_conditions(Plan(('href', 'la', 'prop')), None)\n"
        "assert 'torch' not in sys.modules\n"
        "list(in_parallel(exec, {1: ('import sys; assert \"torch\" in sys.modules',)}, 1))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
