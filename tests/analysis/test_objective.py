"""The command: files and builds in, tables out; what it refuses."""

import csv
import json
import sys

import numpy as np
import pytest

from analysis import objective
from analysis.metrics.registry import MEASURES, measure_all
from analysis.metrics.selftest import scene
from listening.conditions.anchors import low_pass
from render.common.errors import InputError
from render.common.files import write_json
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene

REFERENCE = scene(0.7)
RATE = REFERENCE.sample_rate_hz


def cut(samples, rate_hz=RATE):
    return Scene(np.ascontiguousarray(samples, np.float32), rate_hz)


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["objective", *map(str, arguments)])
        objective.main()
        return capsys.readouterr().out

    return call


@pytest.fixture
def folder(tmp_path):
    write_scene(tmp_path / "ref.wav", REFERENCE)
    return tmp_path


def table(path):
    with open(path / "objective.csv", newline="", encoding="utf-8") as file:
        return {(row["item"], row["condition"]): row for row in csv.DictReader(file)}


def build(path, items=("Beach", "Park"), conditions=("href", "la", "order_1")):
    manifest = {"plan": {"conditions": list(conditions)}, "items": {}}
    for number, item in enumerate(items):
        reference = scene(0.7, seed=number + 1)
        made = {
            "href": reference,
            "la": low_pass(reference, 3500),
            "order_1": cut(reference.samples * (np.arange(16) < 4)[:, None]),
        }
        for name in conditions:
            write_scene(path / "scenes" / item / f"{name}.w64", made[name])
        manifest["items"][item] = {
            "material": "synthetic",
            "conditions": {
                name: {"file": f"scenes/{item}/{name}.w64", "sha256": "0" * 64, "parameters": {}}
                for name in conditions
            },
        }
        if "la" in conditions:
            manifest["items"][item]["conditions"]["la"] |= {"kbps": 16.5, "latency_ms": 2, "rtf_enc": "fast"}
    write_json(path / "manifest.json", manifest)
    return path


def test_a_build_gives_a_row_for_each_item_and_condition(tmp_path, run):
    printed = run("--build", build(tmp_path / "build"), "-o", tmp_path / "o", "--workers", 2)
    rows = table(tmp_path / "o")
    assert list(rows) == [(i, c) for i in ("Beach", "Park") for c in ("href", "la", "order_1")]
    la = rows["Beach", "la"]
    expected = measure_all(scene(0.7), {"la": low_pass(scene(0.7), 3500)})["la"]
    for name, value in expected.items():
        assert la.get(name, "") == ("" if value is None else f"{value:.7g}"), name
    assert (la["kbps"], la["latency_ms"], la["material"]) == ("16.5", "2", "synthetic")
    assert "rtf_enc" not in la
    assert rows["Park", "order_1"]["silent_channels"] == "12"
    content = json.loads((tmp_path / "o" / "objective.json").read_text())
    assert content["rows"][2]["silent_channels"] == list(range(4, 16))
    mean = next(e for e in content["conditions"] if (e["condition"], e["measure"]) == ("la", "mel_train"))
    values = [float(rows[item, "la"]["mel_train"]) for item in ("Beach", "Park")]
    half = 12.7062 * np.std(values, ddof=1) / np.sqrt(2)  # Student's t for 1 degree of freedom
    assert mean["n"] == 2
    assert [mean["mean"], mean["ci_high"]] == pytest.approx([np.mean(values), np.mean(values) + half], rel=1e-4)
    assert "SYNTHETIC material" in printed
    assert "Beach, order_1: lost channels 4-15" in printed
    assert "nan" not in (tmp_path / "o" / "objective.csv").read_text().lower()


def test_files_of_other_lengths_delays_and_orders(folder, run):
    x = REFERENCE.samples
    write_scene(folder / "late.wav", cut(np.concatenate([np.zeros((16, 300)), -x], axis=1)))
    write_scene(folder / "first.wav", cut(x[:4]))
    write_scene(folder / "short.wav", cut(x[:, 500:20_000]))
    tests = [folder / f"{name}.wav" for name in ("late", "first", "short")]
    printed = run(folder / "ref.wav", *tests, "-o", folder / "o", "--workers", 1)
    rows = table(folder / "o")
    late, first, short = (rows["ref", name] for name in ("late", "first", "short"))
    assert (late["lag_samples"], short["lag_samples"]) == ("300", "-500")
    assert float(late["align_corr"]) == pytest.approx(-1)
    for name in ("mel_train", "cov_sum", "doa_deg"):
        assert float(late[name]) == pytest.approx(0, abs=1e-3)
        assert float(short[name]) == pytest.approx(0, abs=1e-3)
    assert first["silent_channels"] == "12"
    assert "order 1: the missing channels of order 3 are taken as silent" in printed
    assert "samples 500 to 20000" in printed


def test_a_silent_test_has_a_row_and_a_note(folder, run):
    write_scene(folder / "nothing.wav", cut(0 * REFERENCE.samples))
    printed = run(folder / "ref.wav", folder / "nothing.wav", "-o", folder / "o", "--workers", 1)
    row = table(folder / "o")["ref", "nothing"]
    assert row["silent_channels"] == "16"
    assert all(np.isfinite(float(row[m.name])) for m in MEASURES if row.get(m.name))
    assert "every channel under -100 dB" in printed


def test_what_is_not_its_reference_is_refused_unless_said_to_be_aligned(folder, run):
    write_scene(folder / "other.wav", scene(0.7, seed=2))
    with pytest.raises(InputError, match=r"other\.wav: does not have the waveform of .*ref\.wav.*--aligned"):
        run(folder / "ref.wav", folder / "other.wav", "--workers", 1)
    printed = run(folder / "ref.wav", folder / "other.wav", "--aligned", "--workers", 1)
    assert "has not the reference's waveform; taken as aligned" in printed


def test_bad_files(folder, run):
    import soundfile

    bad = REFERENCE.samples.T.copy()
    bad[777, 3] = np.nan
    soundfile.write(folder / "nan.wav", bad, RATE, subtype="FLOAT")
    soundfile.write(folder / "five.wav", bad[:, :5] * 0, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"nan\.wav: nan in channel 3 at sample 777"):
        run(folder / "ref.wav", folder / "nan.wav", "--workers", 1)
    with pytest.raises(InputError, match=r"five\.wav: 5 channels are not an Ambisonic scene"):
        run(folder / "ref.wav", folder / "five.wav", "--workers", 1)
    bad[777, 3] = -3e12
    soundfile.write(folder / "loud.wav", bad, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"loud\.wav: -3e\+12 in channel 3 at sample 777; measures take"):
        run(folder / "ref.wav", folder / "loud.wav", "--workers", 1)
    write_scene(folder / "silent.wav", cut(0 * REFERENCE.samples))
    with pytest.raises(InputError, match=r"silent\.wav: the reference is silent"):
        run(folder / "silent.wav", folder / "ref.wav", "--aligned", "--workers", 1)
    with pytest.raises(InputError, match="given twice"):
        run(folder / "ref.wav", folder / "nan.wav", folder / "nan.wav", "--workers", 1)


def test_arguments_that_make_no_sense(run, folder):
    for arguments in ((), (folder / "ref.wav",), (folder / "ref.wav", folder / "ref.wav", "--build", folder)):
        with pytest.raises(SystemExit):
            run(*arguments)


def test_results_that_differ_are_not_replaced(folder, run):
    write_scene(folder / "la.wav", low_pass(REFERENCE, 3500))
    (folder / "o").mkdir()
    (folder / "o" / "objective.csv").write_text("mine\n")
    with pytest.raises(InputError, match="--force"):
        run(folder / "ref.wav", folder / "la.wav", "-o", folder / "o", "--workers", 1)
    run(folder / "ref.wav", folder / "la.wav", "-o", folder / "o", "--workers", 1, "--force")
    assert table(folder / "o")["ref", "la"]["mel_train"]


def test_visqol_is_an_extra(folder, run, monkeypatch):
    monkeypatch.setattr("analysis.metrics.visqol.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install visqol-python"):
        run(folder / "ref.wav", folder / "ref.wav", "--visqol")


def test_estoi_of_all_scenes_where_they_are_said_to_be_speech(folder, run):
    run(folder / "ref.wav", folder / "ref.wav", "--speech", "-o", folder / "speech")
    (row,) = json.loads((folder / "speech/objective.json").read_text())["rows"]
    assert row["values"]["estoi_W"] == pytest.approx(1)


def test_the_doctor_from_the_command_line(folder, run):
    write_scene(folder / "quiet.wav", cut(0.5 * REFERENCE.samples))
    printed = run(folder / "ref.wav", folder / "quiet.wav", folder / "ref.wav", "--doctor", "-o", folder / "d")
    (entry,) = json.loads((folder / "d" / "doctor.json").read_text())
    assert [finding["fault"] for finding in entry["findings"]] == ["gain"]
    assert "ref, quiet: " in printed
    assert "  gain: -6.0 dB" in printed
