"""Frozen plans: what is written is read back, and the build takes it."""

import sys

import pytest

from listening import freeze
from listening.test_design import excerpt_freezing as excerpt_freezing_lib
from listening.test_design.test_plan import ForegroundObject, FrozenExcerpt, Plan, load_plan
from render.common.errors import InputError


@pytest.fixture
def material(tmp_path):
    import numpy as np

    from render.fileio.audio_file import writer

    random = np.random.default_rng(0)
    for name in ("Beach.8.wav", "Park.8.wav"):
        with writer(tmp_path / "prepared" / name, 16, 44_100, "PCM_16") as file:
            file.write((0.05 * random.standard_normal((16, 5 * 44_100))).astype(np.float32))
    return tmp_path / "prepared"


def test_a_frozen_plan_says_what_was_chosen_and_is_read_back(tmp_path, material, monkeypatch, capsys):
    (tmp_path / "plan.toml").write_text('conditions = ["href", "la"]\nseconds = 2.0\n')
    target = tmp_path / "sub/frozen.toml"
    command = ["freeze", "--plan", tmp_path / "plan.toml", "--material", material, "-o", target, "--workers", "1"]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    freeze.main()
    plan = load_plan(str(target))
    assert plan.conditions == ("href", "la")
    assert set(plan.excerpts) == {"Beach", "Park"}
    assert all(one.frames == 88_200 and one.start >= 44_100 for one in plan.excerpts.values())
    assert "low anchor loses" in target.read_text()
    assert "2 excerpts frozen" in capsys.readouterr().out
    freeze.main()  # the same again: nothing changes


def test_every_setting_survives(tmp_path):
    plan = Plan(
        conditions=("href", "mine", "coder"),
        seconds=8.5,
        holdout="Beach",
        parameters={
            "mine": {"model": "/a/b \u00fc.safetensors", "codebooks": 9},
            "coder": {"command": 'x "{input}" {output}', "payload": "y.bin"},
        },
        objects=(ForegroundObject("/v.wav", -30, 5.5, -6, 1, "Beach"), ForegroundObject("/w.wav")),
        excerpts={"Beach": FrozenExcerpt("a" * 64, 44_100, 441_000)},
    )
    (tmp_path / "y.toml").write_text(excerpt_freezing_lib.as_toml(plan, {"Beach": "why"}))
    assert load_plan(str(tmp_path / "y.toml")) == plan


def test_another_suffix_is_refused(tmp_path, material, monkeypatch):
    command = ["freeze", "--material", str(material), "-o", str(tmp_path / "x.txt")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(InputError, match=r"ends in \.toml"):
        freeze.main()
