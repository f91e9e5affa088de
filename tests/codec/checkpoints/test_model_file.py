"""Model files: what is read back, and what is refused."""

import json
from copy import deepcopy

import pytest
import torch
from safetensors.torch import load_file, save_file

from codec.bitstream.sizes import STANDARD
from codec.checkpoints.model_file import PRETRAINED, load, save
from codec.coding.low_delay import delay_samples
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import sha256

CONFIG = ModelConfig(
    channels=1, encoder_dim=2, decoder_dim=16, strides=(2, 4), latent_dim=4, codebooks=2, codebook_size=16
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = RVQGAN(CONFIG).fold_weight_norm()
    path = tmp_path / "m.safetensors"
    save(path, model, {"trained_on": "nothing"})
    return model, path


def test_weights_are_read_back_rounded_to_half_precision(saved):
    model, path = saved
    loaded, digest = load(path)
    assert loaded.config == CONFIG
    assert digest.hex() == sha256(path)[:16]
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())
    assert json.loads(path.with_suffix(".json").read_text())["sha256"] == sha256(path)


def test_a_changed_file_is_refused(saved):
    _, path = saved
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="SHA-256"):
        load(path)


@pytest.mark.parametrize("change", ["missing", "shape", "extra", "nan", "config", "garbage", "empty"])
def test_hostile_files_are_refused(saved, change):
    _, path = saved
    path.with_suffix(".json").unlink()
    tensors, config = load_file(path), CONFIG.as_json()
    name = "decoder.model.0.weight"
    if change == "missing":
        del tensors[name]
    elif change == "shape":
        tensors[name] = torch.zeros(3, 3, dtype=torch.float16)
    elif change == "extra":
        tensors["more"] = torch.zeros(1)
    elif change == "nan":
        tensors[name][0] = float("nan")
    elif change == "config":
        config["latent_dim"] = 10**9
    save_file(tensors, path, {"config": json.dumps(config)})
    if change == "garbage":
        path.write_bytes(b"\xff" * 64)
    elif change == "empty":
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"m\.safetensors|model configuration"):
        load(path)


def test_shipped_model_fits_its_card_and_the_task():
    model, _ = load()
    assert model.config.channels == 16
    assert model.config.sample_rate_hz == 44_100
    assert model.config.bitrate_bps() == pytest.approx(15_503.9, abs=0.1)
    card = json.loads(PRETRAINED.with_suffix(".json").read_text())
    assert card["sha256"] == sha256(PRETRAINED)
    assert {"trained_on", "steps", "measured"} <= set(card)
    # 4 slots with 300 bytes of parameters, and 15 bytes of coefficients in each of 256 frames of 512 samples
    assert card["layers_bps"] == round(8 * (4 * 300 + 4 * 60 + 256 * 15) * 44_100 / (256 * 512), 1)
    assert card["code_bps"] == round(model.config.bitrate_bps(), 1)
    assert card["delay_s"] == round(delay_samples(model, STANDARD) / 44_100, 3)


def test_the_copy_of_a_streamed_model_reads_the_file_after_the_original_is_gone(saved):
    """Nor does it need the name of the file, which may be another's by then."""
    whole, path = saved
    model, _ = load(path, streamed=True)
    copy = deepcopy(model)
    del model
    path.unlink()
    layer = copy.stored(copy.decoder.model[0])
    assert torch.equal(layer.weight, whole.decoder.model[0].weight.half().float())
