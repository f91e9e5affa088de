"""An external codec by its command line: here a small Python program that delays and quantises."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from listening.conditions.registry import condition
from render.common.errors import InputError
from render.hoa.scene import Scene

RATE = 44_100
CODEC = """
import sys, numpy as np, soundfile
samples, rate = soundfile.read(sys.argv[1], dtype="float32")
coded = np.clip(np.round(samples[:, :4] * 127), -128, 127).astype(np.int8)
open("coded.bin", "wb").write(coded.tobytes())
back = np.zeros_like(samples)
back[:, :4] = coded / 127
delay = int(sys.argv[3])
made = np.concatenate([np.zeros((delay, 16)), back])[: len(samples) + 5]
soundfile.write(sys.argv[2], made, rate, subtype="FLOAT")
"""


@pytest.fixture(scope="module")
def scene():
    noise = np.cumsum(np.random.default_rng(0).standard_normal((16, RATE // 2)), axis=1)
    noise -= np.apply_along_axis(np.convolve, 1, noise, np.ones(301) / 301, "same")
    return Scene((0.2 * noise / np.abs(noise).max()).astype(np.float32), RATE)


def external(tmp_path, text=CODEC, tail="3000", **parameters):
    (tmp_path / "codec.py").write_text(text)
    command = f"{sys.executable} {tmp_path / 'codec.py'} {{input}} {{output}} {tail}"
    return condition("mycodec", None, {"command": command, **parameters})


def test_delay_is_taken_out_and_the_payload_counted(tmp_path, scene):
    made = external(tmp_path, payload="coded.bin").apply(scene)
    assert made.facts == {"lag_compensated_samples": 3000, "length_difference_samples": 5}
    assert len(made.payload) == 4 * scene.length
    assert made.suffix == ".bin"
    inner = slice(0, -3000)
    assert np.abs(made.scene.samples[:4, inner] - scene.samples[:4, inner]).max() <= 0.5 / 127 + 1e-6
    assert not made.scene.samples[4:, inner].any()


def test_without_a_payload_no_rate_is_claimed(tmp_path, scene):
    assert external(tmp_path).apply(scene).payload is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('no licence')", "failed with status 1: no licence"),
        ("pass", "wrote no {output} file"),
        (CODEC.replace("made, rate", "made[:, :2], rate"), "2 channels"),
        (CODEC.replace("rate, subtype", "22050, subtype"), "22050 Hz; the input had 16 at 44100"),
    ],
)
def test_a_program_that_fails_is_told_in_one_line(tmp_path, scene, text, message):
    with pytest.raises(InputError) as caught:
        external(tmp_path, text).apply(scene)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_payload_is_told(tmp_path, scene):
    with pytest.raises(InputError, match=r"wrote no file other\.bin"):
        external(tmp_path, payload="other.bin").apply(scene)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"command": "true {input}"}, "has no {output}"),
        ({"command": "nosuchprogram {input} {output}"}, "nosuchprogram: no such program"),
        ({"command": "true '{input} {output}"}, "No closing quotation"),
        ({"command": "true {input} {output}", "payload": "../x"}, "payload '../x'"),
    ],
)
def test_impossible_commands_are_refused_before_the_work(parameters, message):
    with pytest.raises(InputError) as caught:
        condition("mycodec", None, parameters)
    assert message in str(caught.value)


STAND_IN = """
import shutil, sys
import numpy as np
if "-sba" in sys.argv:  # 20 ms of 488 bits, alternating, for each 960 samples; keeps the audio
    import soundfile
    frames = -(-soundfile.info(sys.argv[-2]).frames // 960)
    bits = np.where(np.arange(488) % 2, 0x81, 0x7F)
    np.tile(np.array([0x6B21, 488, *bits], "<u2"), frames).tofile(sys.argv[-1])
    shutil.copy(sys.argv[-2], "kept.wav")
else:
    shutil.copy("kept.wav", sys.argv[-1])
"""


def test_the_recipe_for_ivas_in_the_documentation(tmp_path, monkeypatch):
    text = (Path(__file__).parents[3] / "docs/conditions.md").read_text(encoding="utf-8")
    recipe = next(part for part in text.split("```python\n")[1:] if part.startswith("# ivas.py")).split("```")[0]
    (tmp_path / "ivas.py").write_text(recipe, encoding="utf-8")
    for name in ("IVAS_cod", "IVAS_dec"):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\n{STAND_IN}", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    time_s = np.arange(44_100) / 44_100
    scene = Scene(np.outer(np.arange(1, 17) / 100, np.sin(2 * np.pi * 500 * time_s)).astype(np.float32), 44_100)
    made = condition("ivas_24", parameters={
        "command": f"{sys.executable} {tmp_path / 'ivas.py'} {{input}} {{output}} 24400", "payload": "ivas.bin",
    }).apply(scene)  # fmt: skip
    assert 8 * len(made.payload) / 1000 == pytest.approx(24.4, rel=0.01)
    assert made.payload[:2] == b"\x55\x55"
    inner = slice(2000, -2000)
    np.testing.assert_allclose(made.scene.samples[:, inner], scene.samples[:, inner], atol=1e-3)
