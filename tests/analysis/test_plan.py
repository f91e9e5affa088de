"""Freezing a plan, and running it."""

import json

from analysis.study.preregistration import read_plan


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
