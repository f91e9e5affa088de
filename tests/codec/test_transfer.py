"""codec.transfer as it is typed."""

import json
import sys
from pathlib import Path

import torch

from codec import transfer as command
from codec.checkpoints.channel_transfer import transfer
from codec.checkpoints.model_file import load
from codec.descript.weights import read_published
from render.common.files import sha256

CHECKPOINT = Path(__file__).parents[1] / "golden" / "dac" / "mono.pth"


def test_it_writes_a_model_and_its_card(tmp_path, monkeypatch, capsys):
    target = tmp_path / "start.safetensors"
    monkeypatch.setattr(
        sys, "argv", ["t", str(CHECKPOINT), "--channels", "12", "--reading", "weight", "-o", str(target)]
    )
    command.main()
    model, digest = load(target)
    assert model.config.channels == 12
    assert digest.hex() == sha256(target)[:16]
    card = json.loads(target.with_suffix(".json").read_text())
    assert card["reading"] == "weight"
    assert card["origin_sha256"] == sha256(CHECKPOINT)
    assert "12 channels" in capsys.readouterr().out
    for name, tensor in transfer(read_published(CHECKPOINT), 12, "weight").state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
