"""The self-test passes, equals its golden table, and would notice."""

import pytest

from analysis import selftest


@pytest.fixture(scope="module")
def table():
    return selftest.invariances()


def test_the_table_is_the_golden_one(table):
    golden = selftest.GOLDEN.read_text(encoding="utf-8")
    assert selftest.deviations(table, golden) == []
    assert golden.count("\n") == len(table) + 1


def test_a_changed_value_is_noticed(table):
    golden = selftest.GOLDEN.read_text(encoding="utf-8")
    row = dict(table["yaw 15 deg"])
    row["doa_deg"] *= 1.2
    assert any("doa_deg" in line for line in selftest.deviations({**table, "yaw 15 deg": row}, golden))
    row["doa_deg"] = None
    assert any("is None" in line for line in selftest.deviations({**table, "yaw 15 deg": row}, golden))
    assert selftest.deviations({}, golden)[0] == "identity: is missing"


# What does not depend on the scene, or must hold in any (the published table's zeros and ones, AMBIQUAL's column)
EXACT = [
    ("identity", "cov_sum", 0), ("identity", "mel_train", 0), ("identity", "aq_la", 1),
    ("delay 1 sample", "cov_sum", 0), ("delay 1 sample", "aq_lq", 0.63), ("delay 1 ms", "aq_lq", 0.27),
    ("gain +1 dB", "cov_sum", 0), ("gain +1 dB", "doa_deg", 0), ("gain +1 dB", "ls_lvl_db", 1),
    ("polarity", "mel_train", 0), ("polarity", "ild_db", 0), ("polarity", "aq_lq", 0.25),
    ("mirror left/right", "mel_train", 0), ("mirror left/right", "aq_la", 0.22),
    ("SN3D as N3D", "cov_sum", 0), ("SN3D as N3D", "doa_deg", 0), ("SN3D as N3D", "ord3_db", 8.45),
    ("order 3 dropped", "doa_deg", 0), ("order 3 dropped", "aq_la", 0.64),
    ("noise at 20 dB SNR", "sisdr_mean_db", 20),
]  # fmt: skip


@pytest.mark.parametrize(("change", "measure", "value"), EXACT)
def test_the_published_tables_values(table, change, measure, value):
    assert table[change][measure] == pytest.approx(value, abs=0.011 if value < 10 else 0.2)


def test_together_the_measures_see_every_change(table):
    """No measure catches all; eq. 3, mel, order levels, direction and SI-SDR together do."""
    ideal = table["identity"]
    together = ("cov_sum", "mel_train", "ord3_db", "ord0_db", "doa_deg", "aq_lq")
    for change, values in table.items():
        if change != "identity":
            assert any(abs(values[name] - ideal[name]) > 0.02 for name in together), change
            assert (
                any(abs(values[name] - ideal[name]) < 0.02 for name in (*together, "map_corr"))
                or "noise" in change
            )
