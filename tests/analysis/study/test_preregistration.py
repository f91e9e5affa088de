"""The plan lock: what is frozen, and that no deviation goes unsaid."""

import argparse
import json
from dataclasses import asdict, replace

import pandas as pd
import pytest

from analysis.ratings.table import Ratings, write
from analysis.study.analysis import analyse, analyse_files
from analysis.study.options import Settings, add_options
from analysis.study.preregistration import Plan, check, deviations, digests, read_plan, write_plan
from analysis.study.simulation import EFFECTS, simulate
from render.common.errors import InputError

PLAN = Plan(
    title="Demo", frozen="2026-01-01T00:00:00+00:00", listeners=5, conditions=tuple(EFFECTS),
    items=("Beach", "Park"), screening="bs1534-3", ci="listener",
    comparisons=(("prop", "opus3_160"), ("prop", "href")), test="t",
    correction="holm", alpha=0.05, margin=None, draws=0, seed=1, stimuli={"a.wav": "ab" * 32},
)  # fmt: skip


USED = Settings()


@pytest.fixture(scope="module")
def ratings():
    table = simulate(EFFECTS, 5, ["Beach", "Park"], seed=2)
    return table.assign(stimulus_sha256="ab" * 32, date="2026-02-01T10:00:00Z")


def test_a_test_that_went_as_planned_has_no_deviation(ratings):
    assert deviations(PLAN, ratings, USED, None) == []


@pytest.mark.parametrize(
    ("plan", "used", "change", "said"),
    [
        ({}, {"screening": "none"}, {}, "screening: planned bs1534-3, used none"),
        ({}, {"ci": "paper"}, {}, "ci: planned listener, used paper"),
        ({}, {"margin": 5.0}, {}, "margin: planned None, used 5.0"),
        ({"listeners": 6}, {}, {}, "listeners: planned 6, 5 rated"),
        ({"conditions": (*EFFECTS, "new")}, {}, {}, "conditions planned but not rated: new"),
        ({"conditions": ("la", "ma", "opus3_160", "prop")}, {}, {}, "conditions rated but not planned: href"),
        ({"items": ("Beach", "Wood")}, {}, {}, "items planned but not rated: Wood"),
        ({"items": ("Beach",)}, {}, {}, "items rated but not planned: Park"),
        ({"comparisons": (("prop", "x"),)}, {}, {}, "comparisons that cannot be made: prop - x"),
        ({"stimuli": {}}, {}, {}, "holds no digest of a sound file"),
        ({"stimuli": {"a.wav": "cd" * 32}}, {}, {}, "digest the plan does not hold: Beach / la, Beach / ma"),
        ({"frozen": "2026-02-01T10:00:01+00:00"}, {}, {}, "50 ratings are older than the plan"),
        ({}, {}, {"date": "yesterday"}, "50 ratings carry none that can be read"),
    ],
)
def test_every_deviation_is_said(ratings, plan, used, change, said):
    count = len(ratings)
    said = said.replace("50 ratings", f"{count} ratings")
    found = deviations(replace(PLAN, **plan), ratings.assign(**change), replace(USED, **used), None)
    assert any(said in line for line in found), found


def test_what_cannot_be_checked_is_said(ratings):
    bare = ratings.drop(columns=["stimulus_sha256", "date"])
    found = deviations(PLAN, bare, USED, None)
    assert len(found) == 2
    assert all("not checked" in line for line in found)


FROZEN = "2026-11-28T22:01:30+00:00"


@pytest.mark.parametrize(("date", "said"), [
    ("2026-11-28T22:01:29Z", "older"), ("2026-11-28T22:01:30Z", ""), ("2026-11-28 18:01:30-05:00", ""),
    ("2026-11-28T23:30:00+02:00", "older"), ("20261128T220131Z", ""),
    ("2026-11-28 18:01:30", "unclear"), ("2026-11-28 22:01:30", "unclear"), ("2026-11-28 23:30:00", "unclear"),
    ("2026-11-28 08:01:30", "unclear"), ("2026-11-28 08:01:29", "older"), ("2026-11-28 08:01:29.123456", "older"),
    ("2026-11-29 12:01:29", "unclear"), ("2026-11-29 12:01:30", ""), ("2026-11-30", ""), ("2026-11-29", "unclear"),
    ("2026-11-28", "unclear"), ("2026-11-27", "older"), ("2026-11-26", "older"), ("0001-01-01", "older"),
    ("9999-12-31 23:59:59", ""), ("9999-12-31T23:59:59-14:00", ""),
    ("", "unreadable"), ("2026", "unreadable"), ("28.11.2026", "unreadable"), ("1795903290000", "unreadable"),
    ("٢٠٢٦-١١-٢٨", "unreadable"),
])  # fmt: skip
def test_a_date_without_a_zone_is_compared_only_where_no_zone_could_matter(ratings, date, said):
    found = deviations(replace(PLAN, frozen=FROZEN), ratings.assign(date=date), USED, None)
    words = {
        "older": f"{len(ratings)} ratings are older than the plan, which was frozen on {FROZEN}",
        "unclear": f"dates: {len(ratings)} ratings cannot be checked against the plan, frozen on {FROZEN}",
        "unreadable": f"dates: {len(ratings)} ratings carry none that can be read",
    }
    assert len(found) == (said != "")
    assert not said or found[0].startswith(words[said])


def test_dates_of_several_kinds_are_counted_apart(ratings):
    dates = ["2026-11-28T22:01:29Z", "2026-11-28 18:01:30", "soon", *["2026-12-31"] * (len(ratings) - 3)]
    found = deviations(replace(PLAN, frozen=FROZEN), ratings.assign(date=dates), USED, None)
    assert [line.partition(" ratings")[0] for line in found] == ["1", "dates: 1", "dates: 1"]


@pytest.mark.parametrize("frozen", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_plans_frozen_at_the_ends_of_time_can_be_compared(ratings, frozen):
    assert len(deviations(replace(PLAN, frozen=frozen), ratings, USED, None)) == frozen.startswith("9")


def test_items_left_out_are_a_setting_of_the_plan(tmp_path, ratings):
    training = ratings[ratings["item"] == "Park"].assign(item="training1")
    both = pd.concat([ratings, training])
    left_out = replace(USED, leave_out=("training1",))
    assert deviations(PLAN, both, USED, None) == ["items rated but not planned: training1"]
    assert deviations(PLAN, both, left_out, None) == ["leave_out: planned nothing, used training1"]
    planned = replace(PLAN, leave_out=("training1",))
    assert deviations(planned, both, planned.settings, None) == []
    assert deviations(PLAN, ratings, replace(USED, leave_out=("Park",)), None) == [
        "leave_out: planned nothing, used Park", "items planned but not rated: Park",
    ]  # fmt: skip
    write_plan(tmp_path / "plan.json", planned)
    assert read_plan(tmp_path / "plan.json") == (planned, [])
    write_plan(tmp_path / "without.json", PLAN)
    assert "leave_out" not in json.loads((tmp_path / "without.json").read_text())["plan"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "9" * 400])
@pytest.mark.parametrize("name", ["alpha", "margin", "title", "seed", "stimuli"])
def test_plans_with_numbers_that_json_does_not_have_are_one_clear_error(tmp_path, name, number):
    text = json.dumps({"plan": asdict(PLAN) | {name: "HERE"}, "sha256": ""}).replace('"HERE"', number)
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=r"plan\.json: .*is not a finite number"):
        read_plan(tmp_path / "plan.json")


def test_names_of_a_plan_are_compared_in_their_composed_form(tmp_path, ratings):
    written = replace(PLAN, items=("Cafe\u0301", "Park"), comparisons=(("e\u0301", "prop"),), conditions=())
    write_plan(tmp_path / "plan.json", written)
    plan, found = read_plan(tmp_path / "plan.json")
    assert (plan.items, plan.comparisons, found) == (("Caf\u00e9", "Park"), (("\u00e9", "prop"),), [])
    named = ratings.replace({"Beach": "Caf\u00e9", "opus3_160": "\u00e9"})
    assert deviations(plan, named, USED, None) == []


def test_sound_files_are_compared(tmp_path, ratings):
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "notes.txt").write_text("x")
    plan = replace(PLAN, stimuli=digests(tmp_path))
    assert set(plan.stimuli) == {"a.wav", "b.wav", "c.wav"}
    bare = ratings.drop(columns=["stimulus_sha256"])
    assert deviations(plan, bare, USED, tmp_path) == []
    (tmp_path / "a.wav").write_bytes(b"other")
    (tmp_path / "b.wav").rename(tmp_path / "d.wav")
    assert deviations(plan, bare, USED, tmp_path) == [
        "sound files changed since: a.wav", "sound files gone since: b.wav", "sound files added since: d.wav",
    ]  # fmt: skip


def test_written_plans_are_read_back_and_changes_are_found(tmp_path):
    path = tmp_path / "plan.json"
    digest = write_plan(path, PLAN)
    assert read_plan(path) == (PLAN, [])
    content = json.loads(path.read_text())
    assert content["sha256"] == digest
    content["plan"]["alpha"] = 0.1
    path.write_text(json.dumps(content))
    plan, found = read_plan(path)
    assert plan.alpha == 0.1
    assert "changed after it was frozen" in found[0]


@pytest.mark.parametrize(
    "change",
    [
        {"screening": "mild"}, {"test": "z"}, {"correction": "fdr"}, {"ci": "normal"}, {"listeners": "9"},
        {"listeners": 1}, {"draws": "x"}, {"alpha": "x"}, {"alpha": 0}, {"frozen": "soon"}, {"frozen": 3},
        {"frozen": "2026-01-01T00:00:00"}, {"leave_out": "x"}, {"leave_out": 3}, {"leave_out": ["Park"]},

        {"comparisons": [["a"]]}, {"comparisons": 3}, {"conditions": 3}, {"stimuli": []}, {"margin": 101},
    ],
)  # fmt: skip
def test_damaged_plans_are_refused(tmp_path, change):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"plan": asdict(PLAN) | change, "sha256": ""}))
    with pytest.raises(InputError):
        read_plan(path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"plan": {}}', '{"plan": 3}', "x"])
def test_files_that_are_no_plan(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")


def test_comparisons_left_open_are_all_pairs_without_anchors():
    assert check(replace(PLAN, comparisons=())).pairs(["la", "ma", "a", "b", "href"]) == [
        ("a", "b"), ("a", "href"), ("b", "href"),
    ]  # fmt: skip
    assert PLAN.pairs(["prop", "href"]) == [("prop", "href")]


def test_planned_comparisons_are_adjusted_over_the_planned_family(ratings):
    planned = analyse(Ratings(ratings), plan=PLAN).planned.set_index(["a", "b"])
    every = analyse(Ratings(ratings)).pairs.set_index(["a", "b"])
    assert list(planned.index) == list(PLAN.comparisons)
    p = [every.loc[("opus3_160", "prop"), "p_t"], every.loc[("prop", "href"), "p_t"]]
    assert planned["p"].tolist() == pytest.approx(p)
    assert planned["p_adjusted"].tolist() == pytest.approx([max(p) if q == max(p) else 2 * min(p) for q in p])
    assert planned["different"].tolist() == [q < 0.05 for q in planned["p_adjusted"]]
    assert planned.loc[("prop", "opus3_160"), "difference"] == -every.loc[("opus3_160", "prop"), "difference"]


@pytest.mark.parametrize(("test", "column"), [("wilcoxon", "p_w_exact"), ("permutation", "p_permutation")])
def test_planned_test_and_correction_are_those_of_the_plan(ratings, test, column):
    plan = replace(PLAN, test=test, correction="none", draws=1000, alpha=0.4)
    planned = analyse(Ratings(ratings), plan=plan).planned
    assert planned["p_adjusted"].tolist() == planned["p"].tolist() == planned[column].tolist()
    assert planned["different"].tolist() == (planned[column] < 0.4).tolist()


def test_comparisons_are_bounded():
    names = tuple(f"c{n}" for n in range(300))
    with pytest.raises(InputError, match=r"plan: 300 conditions make 44850 pairs.*--compare"):
        check(replace(PLAN, conditions=names, comparisons=()))
    with pytest.raises(InputError, match="plan: 5001 comparisons; possible are 5000"):
        check(replace(PLAN, conditions=names, comparisons=(("c0", "c1"),) * 5001))
    planned = check(replace(PLAN, conditions=names, comparisons=(("c0", "c299"),)))
    assert planned.pairs(names) == [("c0", "c299")]
    assert replace(PLAN, conditions=(), comparisons=()).pairs(names) == []


def test_orders_of_the_package_are_compared_with_the_planned_listeners(tmp_path, ratings):
    (tmp_path / "a.wav").write_bytes(b"a")
    plan = replace(PLAN, stimuli=digests(tmp_path))
    assert not [line for line in deviations(plan, ratings, USED, tmp_path) if "orders" in line]
    for count in (8, 5):
        (tmp_path / "session.json").write_text(json.dumps({"orders": [{"listener": "L01"}] * count}))
        found = [line for line in deviations(plan, ratings, USED, tmp_path) if line.startswith("orders")]
        assert found == ([f"orders: {tmp_path / 'session.json'} holds those of 8 listeners, 5 are planned"]
                         if count == 8 else [])  # fmt: skip


def test_ratings_that_were_left_out_by_a_column_are_a_deviation(ratings, tmp_path, capsys):
    write_plan(tmp_path / "plan.json", PLAN)
    write(tmp_path / "r.csv", pd.concat([ratings.assign(transducer="loudspeakers"),
                                         ratings.assign(transducer="headphones", session="t")]))  # fmt: skip
    command = argparse.ArgumentParser()
    add_options(command)
    words = [str(tmp_path / "r.csv"), "--plan", str(tmp_path / "plan.json")]
    pooled = analyse_files(command.parse_args(words))
    assert pooled.deviations == ()
    assert any("TRANSDUCERS ARE POOLED" in warning for warning in pooled.results.warnings)
    alone = analyse_files(command.parse_args([*words, "--only", "transducer=headphones"]))
    assert alone.deviations == ("analysed were only ratings with transducer = headphones",)
    assert set(alone.results.table["session"]) == {"t"}
    assert not any("POOLED" in warning for warning in alone.results.warnings)
    both = command.parse_args([*words, "--only", "transducer=headphones", "--only", "session=t"])
    assert analyse_files(both).deviations == (
        "analysed were only ratings with transducer = headphones",
        "analysed were only ratings with session = t",
    )
    with pytest.raises(InputError, match="transducer=headphones transducer=loudspeakers: no rating has both"):
        analyse_files(command.parse_args([*words, "--only", "transducer=headphones", "transducer=loudspeakers"]))
    with pytest.raises(SystemExit):
        command.parse_args([*words, "--only", "headphones"])
    assert "'headphones' is not COLUMN=VALUE" in capsys.readouterr().err
