"""Freezing a plan, and running it."""

import json

import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import read, write
from analysis.statistics.crossed import crossed_mean
from analysis.study.preregistration import read_plan
from analysis.study.simulation import simulate


def test_from_freezing_to_the_report(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli" / "a.wav").write_bytes(b"a")
    (tmp_path / "stimuli" / "session.json").write_text(json.dumps({"orders": [{}] * 3}))
    key = {"items": {"Beach": {"1": "href", "2": "la", "3": "prop"}}}
    (tmp_path / "key.json").write_text(json.dumps(key))
    frozen = command("analysis.plan", "--key", "key.json", "--listeners", 4, "--package", "stimuli", "--compare",
                     "prop", "href", "--ci", "crossed", "-o", "plan.json")  # fmt: skip
    assert frozen.returncode == 0, frozen.stderr
    assert json.loads((tmp_path / "plan.json").read_text())["sha256"] in frozen.stdout
    assert (
        "session.json holds those of 3 listeners, 4 are planned; export again with --listeners 4" in frozen.stdout
    )
    (tmp_path / "stimuli" / "session.json").unlink()
    plan, _ = read_plan(tmp_path / "plan.json")
    assert (plan.items, plan.conditions) == (("Beach",), ("la", "prop", "href"))
    made = command("analysis.simulate", "--key", "key.json", "--listeners", 4, "-o", "r.csv")
    assert made.returncode == 0, made.stderr
    call = ["analysis.mushra", "r.csv", "--key", "key.json", "--plan", "plan.json", "--package", "stimuli"]
    done = command(*call, "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "1 deviation from the plan\n  dates: not checked" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ci"]["convention"] == "crossed"
    assert summary["plan"]["deviations"] == ["dates: not checked; the ratings carry none"]
    assert [(row["a"], row["b"]) for row in summary["planned"]] == [("prop", "href")]
    assert (tmp_path / "out" / "planned.csv").read_text().startswith("a,b,n,difference")
    other = command(*call, "--ci", "paper", "-o", "other")
    assert "ci: planned crossed, used paper" in other.stdout


def test_a_training_is_left_out_by_plan_and_analysis(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    key = {"items": {item: {f"a{item}": "href", f"b{item}": "la"} for item in ("Beach", "Park", "training")}}
    (tmp_path / "key.json").write_text(json.dumps(key))
    assert command("analysis.simulate", "--key", "key.json", "--listeners", 4, "-o", "r.csv").returncode == 0
    call = ["analysis.plan", "--key", "key.json", "--listeners", 4, "--screening", "none", "--leave-out"]
    assert "--leave-out trainings: the key has no such item; did you mean training?" in command(
        *call, "trainings").stderr  # fmt: skip
    frozen = command(*call, "training", "-o", "plan.json")
    assert frozen.returncode == 0, frozen.stderr
    plan, _ = read_plan(tmp_path / "plan.json")
    assert (plan.items, plan.leave_out) == (("Beach", "Park"), ("training",))
    planned = command("analysis.mushra", "r.csv", "--key", "key.json", "--plan", "plan.json", "-o", "planned")
    given = command("analysis.mushra", "r.csv", "--key", "key.json", "--screening", "none", "--leave-out",
                    "training", "-o", "given")  # fmt: skip
    for done in (planned, given):
        assert "4 listeners x 2 items, 16 ratings" in done.stdout
    assert "note: items left out: training" in planned.stdout
    assert "planned but not rated" not in planned.stdout
    assert (tmp_path / "planned/summary.csv").read_bytes() == (tmp_path / "given/summary.csv").read_bytes()


def test_the_claim_chooses_interval_and_test_of_a_plan(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    call = ["analysis.plan", "--listeners", 12, "--conditions", "a", "b", "c", "--force"]
    found = {}
    for options in (
        (),
        ("--claim", "material"),
        ("--ci", "crossed"),
        ("--test", "sign-flip"),
        ("--test", "crossed"),
    ):
        assert command(*call, *options).returncode == 0
        plan, _ = read_plan(tmp_path / "plan.json")
        found[options] = plan.test, plan.ci, plan.settings.claim
    assert list(found.values()) == [
        ("t", "listener", "items"), ("crossed", "crossed", "material"), ("crossed", "crossed", "material"),
        ("sign-flip", "listener", "items"), ("crossed", "crossed", "material"),
    ]  # fmt: skip
    refused = command(*call, "--claim", "material", "--test", "wilcoxon")
    assert refused.returncode == 2
    assert "--test wilcoxon supports the claim items, not --claim material" in refused.stderr


def test_a_plan_for_other_material_is_carried_out(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "r.csv", simulate({"a": 40.0, "b": 60.0, "href": 99.0}, 9, ["x", "y", "z"], 2))
    assert command("analysis.plan", "--listeners", 9, "--claim", "material", "--compare", "a", "b").returncode == 0
    done = command("analysis.mushra", "r.csv", "--plan", "plan.json", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "crossed, holm, alpha 0.05; holds for other listeners and other items of the kind" in done.stdout
    (row,) = json.loads((tmp_path / "out" / "summary.json").read_text())["planned"]
    scores = cells(read(tmp_path / "r.csv").table)
    expected = crossed_mean(scores.of("a") - scores.of("b"))
    assert (row["p"], row["difference"], row["claim"]) == (
        pytest.approx(expected.p), pytest.approx(expected.value), "material",
    )  # fmt: skip
    changed = command("analysis.mushra", "r.csv", "--plan", "plan.json", "--claim", "items", "-o", "other")
    assert "claim: planned material, used items" in changed.stdout


def test_one_item_is_no_sample(tmp_path, command):
    write(tmp_path / "r.csv", simulate({"a": 40.0, "b": 60.0}, 6, ["x"], 2))
    done = command("analysis.mushra", tmp_path / "r.csv", "--claim", "material", "-o", tmp_path / "out")
    assert "note: one item is no sample of material" in done.stdout
