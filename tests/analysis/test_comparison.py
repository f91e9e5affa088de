"""BS.1116, AB and ABX from file to summary: by value against SciPy."""

import csv
import json
import sqlite3
import sys
from contextlib import closing

import numpy as np
import pytest
from scipy import stats

from analysis import comparison
from analysis.ratings.comparisons import read_comparisons
from analysis.ratings.importers.listening_server import APPLICATION_ID
from analysis.statistics.binomial import abx_d_prime
from render.common.errors import InputError

KEY = {
    "a": {"aaaaaaaa": "href", "bbbbbbbb": "prop", "cccccccc": "opus"},
    "b": {"dddddddd": "prop", "eeeeeeee": "opus"},
}


def write(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_key(path):
    path.write_text(json.dumps({"items": KEY}))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    def run(results, *more):
        monkeypatch.setattr(
            sys, "argv", ["comparison", str(results), "-o", str(tmp_path / "out"), *map(str, more)]
        )
        comparison.main()
        summary = json.loads((tmp_path / "out/summary.json").read_text())
        return summary, capsys.readouterr().out

    return run


def row_of(summary, scope, **wanted):
    (row,) = (r for r in summary["rows"] if r["scope"] == scope and all(r[k] == v for k, v in wanted.items()))
    return row


def test_difference_grades_have_intervals_tests_and_a_check_of_expertise(tmp_path, run):
    random = np.random.default_rng(1)
    rows, grades = [], {}
    for listener in ("L1", "L2", "L3", "L4", "L5"):
        for item in ("a", "b"):
            for stimulus, made, mean in (("bbbbbbbb", "prop", -0.3), ("cccccccc", "opus", -1.5)):
                for replicate in (1, 2):
                    grade = float(np.round(np.clip(random.normal(mean, 0.5), -4, 4), 1))
                    grade = 0.0 if listener == "L5" else grade
                    grades.setdefault((made, listener), []).append(grade)
                    name = {("b", "prop"): "dddddddd", ("b", "opus"): "eeeeeeee"}.get((item, made), stimulus)
                    rows.append(["s", listener, item, name, grade, replicate])
    rows.append(["s", "L1", "a", "aaaaaaaa", 0.0, 1])  # a control
    path = write(
        tmp_path / "r.csv", ["session", "listener", "item", "stimulus", "difference_grade", "replicate"], rows
    )
    summary, printed = run(path, "--key", write_key(tmp_path / "key.json"))
    for made in ("prop", "opus"):
        means = [np.mean(grades[made, listener]) for listener in ("L1", "L2", "L3", "L4", "L5")]
        expected = stats.ttest_1samp(means, 0)
        low, high = expected.confidence_interval()
        found = row_of(summary, "overall", condition=made)
        assert (found["mean"], found["ci_low"], found["ci_high"]) == pytest.approx((np.mean(means), low, high))
        assert (found["t"], found["df"], found["p_t"]) == pytest.approx((expected.statistic, 4, expected.pvalue))
        below, above = sum(m < 0 for m in means), sum(m > 0 for m in means)
        assert (found["below_0"], found["above_0"], found["units"]) == (below, above, 5)
        assert found["p_sign"] == pytest.approx(stats.binomtest(below, below + above).pvalue)
    both = [row_of(summary, "overall", condition=made)["p_t"] for made in ("prop", "opus")]
    held = [row_of(summary, "overall", condition=made)["p_holm"] for made in ("prop", "opus")]
    assert max(held) == pytest.approx(max(max(both), 2 * min(both)))
    assert min(held) == pytest.approx(2 * min(both))
    of_one = row_of(summary, "listener", of="L1", condition="opus")
    assert (of_one["unit"], of_one["units"]) == ("items", 2)
    assert of_one["mean"] == pytest.approx(np.mean(grades["opus", "L1"]))
    for expert in summary["expertise"]:
        own = grades["prop", expert["listener"]] + grades["opus", expert["listener"]]
        identified = sum(g < 0 for g in own)
        assert (expert["trials"], expert["identified"]) == (8, identified)
        assert expert["p"] == pytest.approx(stats.binomtest(identified, 8, alternative="greater").pvalue)
        assert expert["expert"] == (expert["p"] < 0.05)
    assert not summary["expertise"][4]["expert"]
    assert "L5 did not identify the hidden reference: 0 of 8, one-sided p 1" in printed
    assert "opus: difference grade" in printed
    with open(tmp_path / "out/summary.csv", encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(summary["rows"])
    assert {path.suffix for path in (tmp_path / "out").glob("comparison.*")} == {".pdf", ".png", ".svg", ".txt"}


def test_preferences_count_each_pair_whatever_stood_at_a_and_ties_apart(tmp_path, run):
    header = ["session", "listener", "item", "condition_a", "condition_b", "a", "b", "choice"]
    rows = [["s", "L1", "a", "prop", "opus", "x", "y", "a"]] * 5 + [
        ["s", "L1", "a", "opus", "prop", "y", "x", "b"]
    ] * 4
    rows += [["s", "L2", "a", "prop", "opus", "x", "y", "b"]] * 2 + [
        ["s", "L2", "a", "prop", "opus", "x", "y", "same"]
    ]
    rows += [["s", "L3", "a", "opus", "prop", "y", "x", "same"]] * 2
    summary, printed = run(write(tmp_path / "r.csv", header, rows))
    found = row_of(summary, "overall")
    assert (found["first"], found["second"]) == ("opus", "prop")
    assert (found["prefer_first"], found["prefer_second"], found["same"]) == (2, 9, 3)
    expected = stats.binomtest(2, 11)
    low, high = expected.proportion_ci(method="exact")
    assert (found["share"], found["ci_low"], found["ci_high"]) == pytest.approx((2 / 11, low, high))
    assert found["p_binomial"] == pytest.approx(expected.pvalue)
    assert found["share_with_half_ties"] == pytest.approx(3.5 / 14)
    assert (found["listeners_first"], found["listeners_second"], found["p_listeners"]) == (1, 1, 1)
    assert row_of(summary, "listener", of="L3")["share"] is None
    assert "neither in 3 of 14 trials" in printed


def test_three_systems_are_placed_on_one_scale(tmp_path, run):
    rng = np.random.default_rng(1)
    strength = {"opus": -0.7, "prop": 0.7, "mono": 0.0}
    header, rows = ["session", "listener", "item", "condition_a", "condition_b", "choice", "a", "b"], []
    for listener in range(8):
        for first, second in (("opus", "prop"), ("mono", "prop"), ("opus", "mono")):
            share = 1 / (1 + np.exp(strength[second] - strength[first]))
            rows += [
                ["s", f"L{listener}", "a", first, second, "ab"[int(rng.random() > share)], "x", "y"]
                for _ in range(6)
            ]
    rows.append(["s", "L0", "a", "mono", "prop", "same", "x", "y"])
    summary, printed = run(write(tmp_path / "r.csv", header, rows))
    found = {row["condition"]: row for row in summary["scale"]}
    assert sum(row["strength"] for row in found.values()) == pytest.approx(0)
    assert found["prop"]["ci_low"] > 0 > found["opus"]["ci_high"]
    assert found["prop"]["share"] == pytest.approx(1 / (1 + np.exp(-found["prop"]["strength"])))
    assert found["prop"]["df"] == 1
    assert "prop: strength" in printed
    assert len((tmp_path / "out" / "scale.csv").read_text().splitlines()) == 4
    fewer = write(tmp_path / "r.csv", header, rows[:1] + rows[6:7] + rows[12:13])
    with pytest.raises(InputError, match=r"scale\.csv: is of another analysis"):
        run(fewer)
    summary, printed = run(fewer, "--force")
    assert summary["scale"] == []
    assert not (tmp_path / "out" / "scale.csv").exists()
    assert "no scale of preference" in printed


def test_abx_is_read_from_the_database_without_the_withdrawn_and_never_pools_transducers(tmp_path, run):
    path = tmp_path / "r.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
        database.execute("CREATE TABLE meta (key, value)")
        database.execute("INSERT INTO meta VALUES ('plan', '{\"method\": \"abx\"}')")
        database.execute("CREATE TABLE listener (id, number, withdrawn)")
        database.executemany(
            "INSERT INTO listener VALUES (?, ?, ?)", [("L1", 1, None), ("L2", 2, None), ("L3", 3, 9)]
        )
        database.execute(
            "CREATE TABLE choice (session, listener, item, a, b, x, choice, correct, attribute, transducer)"
        )
        for listener, transducer, correct in (
            ("L1", "loudspeakers", 14),
            ("L2", "headphones", 9),
            ("L3", "headphones", 16),
        ):
            for n in range(16):
                database.execute(
                    "INSERT INTO choice VALUES ('simulated-1', ?, 'b', 'reference', 'dddddddd', 'a', 'a', ?, "
                    "'q', ?)",
                    (listener, int(n < correct), transducer),
                )
        database.commit()
    with pytest.raises(InputError, match=r"r\.sqlite: names stimuli, not conditions; give the package's key"):
        run(path)
    summary, printed = run(path, "--key", write_key(tmp_path / "key.json"))
    for transducer, correct in (("loudspeakers", 14), ("headphones", 9)):
        found = row_of(summary, "overall", transducer=transducer)
        assert (found["first"], found["second"], found["correct"], found["trials"]) == (
            "href",
            "prop",
            correct,
            16,
        )
        expected = stats.binomtest(correct, 16, alternative="greater")
        assert found["p_binomial"] == pytest.approx(expected.pvalue)
        assert found["d_independent"] == pytest.approx(abx_d_prime(correct, 16, "independent"))
        d, root = found["d_independent_high"], 2**0.5
        hit, near = stats.norm.cdf(d / root), stats.norm.cdf(d / 2)
        assert hit * near + (1 - hit) * (1 - near) == pytest.approx(found["ci_high"])
    assert len([row for row in summary["rows"] if row["scope"] == "overall"]) == 2
    assert summary["simulated"]
    assert "withdrawn and left out: L3" in printed
    assert printed.startswith("SIMULATED RATINGS")
    assert "SIMULATED" in (tmp_path / "out/summary.csv").read_text()


OF_BS1116 = ["session", "listener", "item", "condition", "difference_grade"]
OF_AB = ["session", "listener", "item", "a", "b", "choice"]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (OF_BS1116, ["s", "L", "a", "x", "nan"], ":2: difference_grade is 'nan'"),
        (OF_BS1116, ["s", "L", "a", "x", "-4.1"], "possible are -4 to 4"),
        (OF_AB, ["s", "L", "a", "x", "y", "a"], "give the package's key"),
        ([n for n in OF_BS1116 if n != "condition"], ["s", "L", "a", "-1"], ":2: neither stimulus nor condition"),
        (
            [*OF_AB, "condition_a", "condition_b"],
            ["s", "L", "a", "x", "y", "c", "p", "q"],
            "possible are a, b, same",
        ),
        (["session", "listener", "item", "score"], ["s", "L", "a", "1"], "is no table of BS.1116, AB or ABX"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, header, row, message):
    with pytest.raises(InputError, match=message):
        read_comparisons(write(tmp_path / "r.csv", header, [row]))
    with pytest.raises(InputError):
        read_comparisons(write(tmp_path / "r.csv", header, []))


def test_a_database_without_its_columns_or_damaged_is_one_error(tmp_path):
    path = tmp_path / "r.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
        database.execute("CREATE TABLE meta (key, value)")
        database.execute("INSERT INTO meta VALUES ('plan', '{\"method\": \"ab\"}')")
        database.execute("CREATE TABLE listener (id, number, withdrawn)")
        database.execute("INSERT INTO listener VALUES ('L1', 1, NULL)")
        database.execute("CREATE TABLE choice (session, listener, item, a, choice)")
        database.execute("INSERT INTO choice VALUES ('s', 'L1', 'i', 'x', 'a')")
        database.commit()
    with pytest.raises(InputError, match=r"r\.sqlite: lacks the columns b of"):
        read_comparisons(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute('UPDATE meta SET value = \'{"method": "mushra"}\'')
        database.commit()
    with pytest.raises(InputError, match=r"holds a test by the method mushra; analysis\.mushra analyses it"):
        read_comparisons(path)
    path.write_bytes(path.read_bytes()[:4096])
    with pytest.raises(InputError, match=r"r\.sqlite: "):
        read_comparisons(path)
