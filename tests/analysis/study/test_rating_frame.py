"""Confidence intervals of any DataFrame: the values of the rating reader's table, and errors by name."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from analysis.study.rating_frame import summarise
from render.common.errors import InputError


@pytest.fixture
def ratings():
    random = np.random.default_rng(2)
    rows = [
        (f"s{who}", item, system, float(random.uniform(low, low + 30)))
        for who in range(6)
        for item in ("Beach", "Park")
        for system, low in (("href", 70), ("prop", 40))
    ]
    return pd.DataFrame(rows, columns=["subject", "scene", "system", "rating"])


NAMES = dict(listener="subject", item="scene", condition="system", score="rating")


def interval(values, level=0.95):
    half = t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return [np.mean(values), np.mean(values) - half, np.mean(values) + half]


def test_intervals_by_listener_and_by_rating(ratings):
    prop = ratings[ratings["system"] == "prop"]
    listener = prop.groupby("subject")["rating"].mean()
    for ci, values, level in (("listener", listener, 0.95), ("paper", prop["rating"], 0.9)):
        table = summarise(ratings, **NAMES, ci=ci, level=level).set_index("condition")
        assert table.loc["prop", ["mean", "ci_low", "ci_high"]].tolist() == pytest.approx(interval(values, level))
        assert table.loc["prop", "n"] == 12
        assert table.loc["prop", "median"] == pytest.approx(prop["rating"].median())
    wide = summarise(ratings, **NAMES, ci="crossed").set_index("condition").loc["prop"]
    assert wide["ci_high"] - wide["ci_low"] > 0


def test_names_of_any_type_one_item_and_missing_scores(ratings):
    one = ratings[ratings["scene"] == "Park"].assign(subject=lambda table: table["subject"].str[1:].astype(int))
    table = summarise(one, **(NAMES | {"item": None})).set_index("condition")
    assert table.loc["href", "n"] == 6
    one.loc[one.index[0], "rating"] = np.nan
    table = summarise(one, **(NAMES | {"item": None})).set_index("condition")
    assert table.loc["href", "n"] == 5


@pytest.mark.parametrize(
    ("change", "names", "message"),
    [
        (
            lambda table: table,
            {"listener": "Subject"},
            "no column 'Subject' but subject, scene.*listener=.*mean subject",
        ),
        (lambda table: table, {"ci": "listeners"}, "ci 'listeners' is unknown; did you mean listener"),
        (lambda table: table, {"level": 95}, "level 95; a probability"),
        (lambda table: table.assign(rating=101.0), {}, "row 0: score .*101.* is no number from 0 to 100"),
        (lambda table: table.assign(rating="good"), {}, "row 0: score 'good'"),
        (lambda table: table.assign(subject=None), {}, "column 'subject': some rows have no listener"),
        (lambda table: table.assign(rating=np.nan), {}, "holds no rating"),
        (lambda table: table, {"item": None}, "listener 's0', item 'all', condition 'href': rated more than once"),
    ],
)
def test_what_cannot_be_summarised_is_refused(ratings, change, names, message):
    with pytest.raises(InputError, match=message):
        summarise(change(ratings), **(NAMES | names))
