"""Published checkpoints: three ways of storing a weight, two of naming it, and what contradicts itself."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from codec.checkpoints.model_file import load
from codec.descript.conversion import convert, read_model
from codec.descript.torch_file import open_torch_file
from codec.descript.weights import read_published
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import read_json, sha256

GOLDEN = Path(__file__).parents[2] / "golden" / "dac"
KWARGS = dict(
    encoder_dim=4, encoder_rates=[2, 4], latent_dim=8, decoder_dim=16, decoder_rates=[4, 2], n_codebooks=4,
    codebook_size=32, codebook_dim=4, quantizer_dropout=False, sample_rate=44_100,
)  # fmt: skip


def legacy_state():
    with open_torch_file(GOLDEN / "mono.pth") as file:
        return {name: file.tensor(stored) for name, stored in file.content["state_dict"].items()}


def folded_state():
    return read_published(GOLDEN / "mono.pth").state_dict()


def checkpoint(path, state, **changes):
    torch.save({"state_dict": state, "metadata": {"kwargs": KWARGS | changes}}, path)
    return path


def assert_same(a, b, tolerance=0.0):
    assert a.config == b.config
    for name, tensor in a.state_dict().items():
        torch.testing.assert_close(b.state_dict()[name], tensor, rtol=tolerance, atol=tolerance)


def test_the_three_states_are_the_same_model(tmp_path):
    legacy = read_published(GOLDEN / "mono.pth")
    names = (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1"))
    new = legacy_state()
    for old, name in names:
        new = {key.replace(old, name): tensor for key, tensor in new.items()}
    assert new.keys() == RVQGAN(legacy.config).state_dict().keys()
    assert_same(legacy, read_published(checkpoint(tmp_path / "new.pth", new)))
    assert {name for name, _ in legacy.named_parameters()} == set(legacy.state_dict())
    assert_same(legacy, read_published(checkpoint(tmp_path / "folded.pth", folded_state())))


def test_a_bare_state_dict_and_other_number_types(tmp_path):
    legacy = read_published(GOLDEN / "mono.pth")
    torch.save(legacy_state(), tmp_path / "bare.pth")
    with pytest.raises(InputError, match="give it with --sample-rate"):
        read_published(tmp_path / "bare.pth")
    assert_same(legacy, read_published(tmp_path / "bare.pth", sample_rate_hz=44_100))
    state = {name: torch.nn.Parameter(tensor.double()) for name, tensor in folded_state().items()}
    assert_same(legacy, read_published(checkpoint(tmp_path / "double.pth", state)))
    half = {name: tensor.half() for name, tensor in folded_state().items()}
    assert_same(legacy, read_published(checkpoint(tmp_path / "half.pth", half)), tolerance=2e-3)


def test_every_name_of_transformers_has_one_of_ours():
    """The mapping is a bijection, and each tensor lands where one of its shape belongs (`assemble` checks)."""
    theirs = load_file(GOLDEN / "transformers" / "model.safetensors")
    ours = read_published(GOLDEN / "transformers" / "model.safetensors").state_dict()
    assert sorted(float(t.sum()) for t in theirs.values()) == sorted(float(t.sum()) for t in ours.values())


def test_the_published_configuration_is_read_from_its_shapes(tmp_path):
    """44.1 kHz, 16 kbit/s with narrower layers; the numbers of the full one would take 257 MB."""
    config = ModelConfig(channels=1, encoder_dim=4, decoder_dim=32, output_tanh=True)
    torch.save(
        {"state_dict": dict(RVQGAN(config).state_dict()), "metadata": {"kwargs": {"sample_rate": 44_100}}},
        tmp_path / "w.pth",
    )
    assert read_published(tmp_path / "w.pth").config == config
    state = RVQGAN(replace(config, channels=16, output_tanh=False)).state_dict()
    torch.save({"state_dict": dict(state), "metadata": {"kwargs": {"sample_rate": 44_100}}}, tmp_path / "w16.pth")
    assert read_published(tmp_path / "w16.pth").config == replace(config, channels=16, output_tanh=False)


def test_conversion_keeps_every_number_and_tells_the_origin(tmp_path):
    target = tmp_path / "mono.safetensors"
    converted = convert(GOLDEN / "mono.pth", target)
    loaded, _ = load(target)
    assert_same(converted, loaded)
    assert_same(read_model(GOLDEN / "mono.pth"), read_model(target))
    card = read_json(target.with_suffix(".json"))
    assert card["origin"] == "mono.pth"
    assert card["origin_sha256"] == sha256(GOLDEN / "mono.pth")
    assert card["sha256"] == sha256(target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("decoder.model.0.bias"), r"missing: decoder\.model\.0\.bias"),
        (lambda s: s.update({"more": torch.zeros(3)}), "unexpected: more"),
        (lambda s: s.update({"decoder.model.0.bias": torch.zeros(3)}), r"model\.0\.bias: its shape is \(3,\)"),
        (lambda s: s["encoder.block.3.alpha"].fill_(float("inf")), r"encoder\.block\.3\.alpha is not finite"),
        (lambda s: s["encoder.block.0.weight_v"][2].zero_(), r"encoder\.block\.0\.weight is not finite after"),
        (lambda s: s.pop("encoder.block.0.weight_v"), r"missing: encoder\.block\.0"),
        (lambda s: s.update({"encoder.block.0.weight": torch.zeros(4, 1, 7)}), r"unexpected: encoder\.block\.0"),
        (lambda s: s.clear(), "no state_dict"),
    ],
)  # fmt: skip
def test_states_that_are_no_model(tmp_path, change, message):
    state = legacy_state()
    change(state)
    with pytest.raises(InputError, match=message):
        read_published(checkpoint(tmp_path / "w.pth", state))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_dim": 8}, "encoder_dim is 4, by its settings 8"),
        ({"encoder_rates": [2, 8]}, "encoder_rates is"),
        ({"n_codebooks": 9}, "n_codebooks is 4, by its settings 9"),
        ({"sample_rate": 10**9}, "sample_rate_hz = 1000000000"),
        ({"sample_rate": "fast"}, "does not state its sample rate"),
    ],
)
def test_settings_that_contradict_the_tensors(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_published(checkpoint(tmp_path / "w.pth", legacy_state(), **changes))


def test_transformers_settings_are_read_and_checked(tmp_path):
    shutil.copytree(GOLDEN / "transformers", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"sampling_rate": 16_000}))
    assert read_published(tmp_path / "model.safetensors").config.sample_rate_hz == 16_000
    (tmp_path / "config.json").write_text(json.dumps(config | {"codebook_size": 64}))
    with pytest.raises(InputError, match="codebook_size is 32, by its settings 64"):
        read_published(tmp_path / "model.safetensors")
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match="--sample-rate"):
        read_published(tmp_path / "model.safetensors")


def test_safetensors_of_whole_numbers_are_refused(tmp_path):
    save_file({"encoder.block.0.weight": torch.zeros(4, 1, 7, dtype=torch.int64)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="does not hold floating-point"):
        read_published(tmp_path / "w.safetensors", 44_100)


def test_odd_strides_are_refused_with_the_reason(tmp_path):
    """The published 16 and 24 kHz models have a stride of 5; their decoder is a sample short per frame."""
    state = legacy_state()
    state["encoder.block.2.block.4.weight_v"] = torch.zeros(16, 8, 10)
    with pytest.raises(InputError, match=r"strides = \(2, 5\) must be 1 to 8 even"):
        read_published(checkpoint(tmp_path / "w.pth", state))
