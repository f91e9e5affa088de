"""The card: excerpts, codebook usage against closed forms, what it says of known rows, the whole command."""

import csv
import json
import sys

import numpy as np
import pytest
import torch

from analysis.metrics.registry import measure
from codec.bitstream.inspection import inspect
from codec.checkpoints.model_file import load, save
from codec.coding.pipeline import encode
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from listening import card
from listening.model_card import card as card_lib
from listening.model_card import codebook_usage as code_usage
from listening.model_card import report as card_report
from render.common.errors import InputError
from render.common.files import record_path, write_json
from render.fileio.audio_file import info, read, writer
from render.fileio.scene_file import read_scene
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import sn3d_to_n3d

RATE = 44100
TINY = ModelConfig(encoder_dim=2, decoder_dim=16, latent_dim=8, codebooks=6, dilations=(), side_layers=True)


def written(path, channels=16, seconds=1.1, rate=RATE, seed=0, level=0.1):
    """Pink noise from everywhere, as an ambience."""
    frames = round(seconds * rate)
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal((channels, frames)))
    white /= np.sqrt(np.arange(1, white.shape[1] + 1))
    white[:, : round(30 * seconds)] = 0  # under 30 Hz
    samples = np.fft.irfft(white, frames)
    samples *= level / samples.std() / sn3d_to_n3d(order_of(channels))[:, None]
    with writer(path, channels, rate, "FLOAT", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


# ------------------------------------------------------------------------------------------- codebook usage


def test_perplexity_closed_forms():
    counts = np.array([[8, 8, 8, 8], [32, 0, 0, 0], [16, 16, 0, 0], [0, 0, 0, 0]])
    assert code_usage.perplexity(counts) == pytest.approx([4, 1, 2, 1])


@pytest.mark.parametrize(("frames", "codes"), [(100, 64), (2000, 64), (2752, 1024)])
def test_what_an_even_codebook_reads_is_the_mean_of_drawn_ones(frames, codes):
    drawn = np.random.default_rng(0).multinomial(frames, np.full(codes, 1 / codes), size=300)
    entropy = np.log2(code_usage.perplexity(drawn)).mean()
    assert np.log2(code_usage.uniform_perplexity(frames, codes)) == pytest.approx(entropy, abs=0.003)


def test_an_even_codebook_at_the_limits():
    assert code_usage.uniform_perplexity(1, 1024) == pytest.approx(1)
    bias_bits = 15 / (2 * 10_000 * np.log(2))  # (K - 1) / 2N, Miller 1955
    assert np.log2(code_usage.uniform_perplexity(10_000, 16)) == pytest.approx(4 - bias_bits, abs=1e-6)


# --------------------------------------------------------------------------------------------------- report


def row(item, condition, **values):
    return {"item": item, "condition": condition, "material": "synthetic", "values": values}


def known_rows():
    """Two items; ours loses direction to Opus, mel to nobody, and the map to the anchor (whose ideal is 1)."""
    values = {
        "prop_1cb": (1.2, 3.0, 0.2, -2.0, 40.0),
        "prop": (15.5, 2.0, 0.8, 1.0, 9.0),
        "pca_opus_16": (16.0, 4.0, 0.5, -3.0, 20.0),
        "opus3_160": (150.0, 2.5, 0.9, 0.5, 8.0),
        "la": (None, 5.0, 0.95, 0.0, 1.0),
        "cov_noise": (None, 1.0, 0.99, 0.0, 2.0),
    }
    names = ("kbps", "mel_train", "map_corr", "ord1_db", "doa_deg")
    return [
        row(item, condition, **{n: v and v + shift for n, v in zip(names, found, strict=True)}, cov_sum=1.0)
        for condition, found in values.items()
        for item, shift in (("a", 0.0), ("b", 0.01))
    ]


def known_report():
    return card_report.report_of(
        known_rows(), 2, "", {"frames": 100, "uniform": 95.2, "codebooks": [200.0, 12.3], "codes_used": [300, 30]}
    )


def test_the_ladder_is_that_of_the_model():
    assert card_report.ladder_of(18) == ("prop_1cb", "prop_2cb", "prop_4cb", "prop_9cb", "prop")
    assert card_report.ladder_of(9) == ("prop_1cb", "prop_2cb", "prop_4cb", "prop")
    assert card_report.ladder_of(1) == ("prop",)


def test_errors_are_distances_from_the_ideal_whatever_the_measures_direction():
    ladder = card_report.ladder(known_rows(), ("prop_1cb", "prop"))
    assert ladder["map_corr"]["errors"] == pytest.approx([0.795, 0.195])
    assert ladder["ord1_db"]["errors"] == pytest.approx([1.995, 1.005])  # a level of either sign is off
    assert not any(column["rises"] for column in ladder.values())
    back = card_report.ladder(known_rows(), ("prop", "prop_1cb"))
    assert all(len(back[name]["rises"]) == 1 for name in ("map_corr", "ord1_db", "mel_train", "doa_deg"))
    assert back["cov_sum"]["rises"] == []  # equal is not away


def test_a_rise_with_codebooks_is_told_with_its_interval():
    rows = known_rows()
    for found in rows:
        if found["condition"] == "prop_1cb":
            found["values"]["doa_deg"] = 40.0
        if found["condition"] == "prop":
            found["values"]["doa_deg"] = {"a": 41.0, "b": 43.0}[found["item"]]
    rise = card_report.ladder(rows, ("prop_1cb", "prop"))["doa_deg"]["rises"]
    # mean 2 of the rises 1 and 3; t of one degree of freedom is tan(0.475 pi), standard error 1
    assert rise == [{"to": "prop", "rise": pytest.approx(2), "ci": pytest.approx(np.tan(0.475 * np.pi))}]
    goals = card_report.report_of(rows, 2, "", known_report()["perplexity"])["goals"]
    (steps,) = (goal for goal in goals if goal["goal"].startswith("no step"))
    assert steps["missed"] == ["doa_deg (to all: +2 ± 13)"]
    of_one = card_report.ladder([found for found in rows if found["item"] == "a"], ("prop_1cb", "prop"))
    assert of_one["doa_deg"]["rises"] == [{"to": "prop", "rise": 1, "ci": None}]


def test_comparisons_are_paired_by_item():
    found = card_report.against(known_rows(), "la")
    assert found["map_corr"]["difference"] == pytest.approx(0.15)
    assert not found["map_corr"]["better"]
    assert found["mel_train"]["difference"] == pytest.approx(-3)
    assert (found["mel_train"]["items"], found["mel_train"]["items_better"]) == (2, 2)
    # the same in both items: the interval has no width, although the items differ
    assert found["mel_train"]["ci_low"] == pytest.approx(found["mel_train"]["ci_high"])
    assert not found["cov_sum"]["better"]  # equal is not better


def test_goals_say_what_is_missed():
    goals = {goal["goal"].split(" in ")[0]: goal for goal in known_report()["goals"]}
    assert goals["nearer to the original than PCA, one Opus channel at 16 kbit/s"]["missed"] == [
        "cov_sum (1.0, theirs 1.0)"
    ]
    opus = goals["nearer to the original than Opus family 3 at 160 kbit/s"]
    assert opus["missed"] == ["cov_sum (1.0, theirs 1.0)", "doa_deg (9.0, theirs 8.0)"]
    assert goals["perplexity of every codebook at least 150"]["missed"] == ["codebook 2 (12)"]
    assert goals["no step to more codebooks leads away from the original"]["met"]
    assert goals["kbps at most 15.7"]["met"]
    assert goals["cov_sum at most 8"]["met"]
    assert goals["doa_deg at most 7"]["missed"] == ["9.0"]


def test_a_mean_that_two_items_contradict_is_called_uncertain():
    rows = known_rows()
    for found in rows:
        if found["condition"] == "prop":
            found["values"]["doa_deg"] = {"a": 1.0, "b": 21.0}[found["item"]]
    report = card_report.report_of(rows, 2, "", known_report()["perplexity"])
    goal = report["goals"][0]
    assert report["against"]["pca_opus_16"]["doa_deg"]["better"]
    assert goal["uncertain"] == ["doa_deg"]
    assert "does not exclude the opposite in doa_deg)" in card_report.markdown("x", report, 2)


def test_the_table_for_a_readme():
    lines = card_report.markdown("scenes", known_report(), 2).splitlines()
    assert lines[0] == "### scenes: 2 items, synthetic"
    assert lines[2] == "| condition | kbps | mel_train | cov_sum | doa_deg | map_corr | ord1_db |"
    assert lines[4] == "| *a perfect copy* |  | *0* | *0* | *0* | *1* | *0* |"
    assert lines[5] == "| 1 codebook | 1.2 | 3.00 | 1.0 | 40.0 | 0.205 | −2.0 |"
    assert lines[6] == "| 2 codebooks | 15.5 | 2.00 | 1.0 | 9.0 | 0.805 | 1.0 |"
    assert lines[7].startswith("| … ± (95 % CI over items) | 0.1 | 0.06 | 0.0 |")
    assert lines[10].startswith("| anchor, 3.5 kHz low-pass | – | 5.00 |")
    assert "Perplexity per codebook over 100 frames (codes used evenly would read 95): 200, 12." in lines


def fine_rows():
    """The known rows with the second table: behind the layer with Opus in W, with lines and an early bark."""
    rows = known_rows()
    values = {"prop": (0.2, 0.5, -20.0, 7.0, 0.7), "layer_opus_16": (0.4, 0.3, -50.0, 0.2, 0.9)}
    names = ("fine_W_mid", "env_W_mid", "pre_25_db", "line_64_db", "estoi_W")
    for condition, found in values.items():
        for item in ("a", "b"):
            own = dict(zip(names, found, strict=True))
            known = next((r for r in rows if (r["item"], r["condition"]) == (item, condition)), None)
            if known:
                known["values"] |= own
            else:
                rows.append(row(item, condition, **own))
    return rows


def test_the_second_table_and_its_goals():
    report = card_report.report_of(fine_rows(), 2, "", known_report()["perplexity"])
    lines = card_report.markdown("x", report, 2).splitlines()
    second = lines.index("| condition | fine_W_mid | env_W_mid | pre_25_db | line_64_db | estoi_W |")
    assert lines[second - 1] == ""
    assert lines[second + 2] == "| *a perfect copy* | *1* | *1* | *-80* | *0* | *1* |"
    assert "| the spatial layer and Opus at 16 kbit/s | 0.40 | 0.30 | −50 | 0.2 | 0.90 |" in lines
    goals = {goal["goal"]: goal["missed"] for goal in report["goals"]}
    opus = "nearer to the original than the spatial layer and Opus at 16 kbit/s in fine_W_mid, env_W_mid"
    assert goals[opus] == ["fine_W_mid (0.80, theirs 0.60)"]  # errors
    assert goals["pre_25_db at most -40"] == ["-20"]
    assert goals["line_64_db at most 1"] == ["7.0"]
    assert goals["estoi_W of speech at least 0.85"] == ["0.70"]


def test_a_set_without_onsets_or_speech_has_no_such_goals():
    goals = [goal["goal"] for goal in known_report()["goals"]]
    assert not any(name in goal for goal in goals for name in ("pre_25_db", "estoi_W"))


def test_no_note_hides_that_a_scene_is_synthetic():
    heading = card_report.markdown("x", {**known_report(), "note": "CC0"}, 2).splitlines()[0]
    assert heading == "### x: 2 items, CC0, synthetic"


def test_a_zero_has_no_sign():
    assert card_report._cell({"mean": 0.0}, 1) == "0.0"
    assert card_report._cell({"mean": -0.04}, 1) == "0.0"
    assert card_report._cell({"mean": -0.06}, 1) == "−0.1"


# ------------------------------------------------------------------------------------------------- excerpts


def test_an_excerpt_is_the_beginning_at_one_level(tmp_path):
    source = written(tmp_path / "fourth.wav", channels=25, seconds=3.0, rate=48000)
    write_json(record_path(source), {"what": "synthetic scene", "convention": "ACN/SN3D"})
    target = tmp_path / "e" / "fourth.wav"
    card_lib.excerpt(source, target, 2.0)
    about = info(target)
    assert (about.channels, about.sample_rate_hz, about.length) == (16, 44100, 88200)
    found, original = read(target)[0].astype(float), read(source, 0, 96000)[0].astype(float)
    assert 10 * np.log10(np.square(found[0]).mean()) == pytest.approx(-24, abs=0.001)
    # the same tones up to 1 kHz, in one proportion for all channels
    spectra = [np.fft.rfft(of[:16])[:, 100:2000] / of.shape[1] for of in (found, original)]
    gains = (spectra[0] * spectra[1].conj()).sum(axis=1) / np.square(np.abs(spectra[1])).sum(axis=1)
    record = json.loads(record_path(target).read_text())
    np.testing.assert_allclose(gains, 10 ** (record["gain_db"] / 20), rtol=2e-3)
    assert record["material"] == "synthetic scene"
    before = target.stat().st_mtime_ns
    card_lib.excerpt(source, target, 2.0)
    assert target.stat().st_mtime_ns == before
    card_lib.excerpt(source, target, 1.0)
    assert info(target).length == 44100


def test_clicks_stay_within_full_scale(tmp_path):
    source = tmp_path / "clicks.wav"
    clicks = np.zeros((16, 2 * RATE), np.float32)
    clicks[0, ::11025] = 0.1
    clicks[3, ::11025] = 0.2
    with writer(source, 16, RATE, "FLOAT") as file:
        file.write(clicks)
    card_lib.excerpt(source, tmp_path / "e.wav", 2.0)
    found = read(tmp_path / "e.wav")[0]
    assert np.abs(found).max() == pytest.approx(1, abs=1e-4)
    assert found[0, 0] == pytest.approx(0.5, abs=1e-4)
    assert 10 * np.log10(np.square(found[0]).mean()) < -40


def test_what_gives_no_excerpt_is_refused(tmp_path):
    for channels, level, message in ((4, 0.1, "order 1"), (16, 1e-7, "W is silent in the first 1 s")):
        with pytest.raises(InputError, match=message):
            card_lib.excerpt(written(tmp_path / "a.wav", channels, level=level), tmp_path / "e.wav", 1.0)


# ---------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    written(folder / "noise.wav")
    torch.manual_seed(0)
    save(folder / "tiny.safetensors", RVQGAN(TINY).fold_weight_norm(), {"what": "random weights"})
    return folder


def command(place, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        fixed = [
            "card",
            "--model",
            place / "tiny.safetensors",
            "--seconds",
            1,
            "--workers",
            1,
            "-o",
            place / "out",
        ]
        patch.setattr(sys, "argv", list(map(str, [*fixed, *arguments])))
        card.main()
    return place / "out"


def test_the_whole_card_and_again(place, capsys):
    out = command(place, "--set", f"room={place / 'noise.wav'}", "--note", "room=noise, CC0")
    scenes = out / "work" / "room" / "scenes" / "noise"
    with open(out / "card.csv", encoding="utf-8") as file:
        rows = {row["condition"]: row for row in csv.DictReader(file)}
    assert not (scenes / "contact_sheet.png").exists()
    assert list(rows) == ["prop_1cb", "prop_2cb", "prop", *card_report.OTHERS]
    assert float(rows["cov_noise"]["fine_W_mid"]) < 0.3
    expected = measure(read_scene(scenes / "href.w64"), read_scene(scenes / "la.w64"))
    found = {name: float(rows["la"][name]) for name, value in expected.items() if value is not None}
    assert found == pytest.approx({n: v for n, v in expected.items() if v is not None}, rel=1e-5, abs=1e-5)
    coded = (scenes / "prop.arvq").stat().st_size
    assert float(rows["prop"]["kbps"]) == pytest.approx(
        8 * coded / 3 / 1000, rel=1e-3
    )  # 1 s and a roll on both sides
    content = json.loads((out / "card.json").read_text())
    assert content["model"]["codebooks"] == 6
    assert content["model"]["codebooks_of_a_file"] == 3  # the side information takes the place of 3.75
    usage = content["sets"]["room"]["perplexity"]
    again = place / "again.arvq"  # without the roll on both sides that the build adds
    again.write_bytes(encode(*load(place / "tiny.safetensors"), read_scene(scenes / "href.w64")))
    entropies = inspect(again, "again")["entropy_bits"]
    assert np.log2(usage["codebooks"])[:2] == pytest.approx(entropies[:2])  # those that all frames have
    text = (out / "card.md").read_text(encoding="utf-8")
    assert "### room: 1 item, noise, CC0" in text
    assert "- listening.build would refuse: prop of noise has a DC of" in text  # random weights
    before = {path: path.stat().st_mtime_ns for path in (out / "work").rglob("*.w64")}
    card_before = (out / "card.json").read_bytes()
    capsys.readouterr()
    command(place, "--set", f"room={place / 'noise.wav'}", "--note", "room=noise, CC0")
    assert (out / "card.json").read_bytes() == card_before
    assert {path: path.stat().st_mtime_ns for path in (out / "work").rglob("*.w64")} == before
    assert "measure segment" not in capsys.readouterr().err


def test_mistakes_are_told_before_the_work(place):
    noise = place / "noise.wav"
    for arguments, message in (
        (["--set", noise], "need NAME=VALUE"),
        (["--set", f"../x={noise}"], "need NAME=VALUE"),
        (["--set", f"a={noise}", "--set", f"a={noise}"], "a second a"),
        (["--set", f"a={noise}", noise], "a second item 'noise'"),
        (["--set", f"a={noise}", "--note", "b=CC0"], "--note b: there is no such --set"),
        (["--set", f"a={place / 'none'}"], "no such file or folder"),
    ):
        with pytest.raises(InputError, match=message):
            command(place, *arguments)
    first_order = place / "first.safetensors"
    save(first_order, RVQGAN(ModelConfig(**{**vars(TINY), "channels": 4})).fold_weight_norm(), {})
    with pytest.raises(InputError, match="codes 4 channels"):
        command(place, "--set", f"a={noise}", "--model", first_order)
