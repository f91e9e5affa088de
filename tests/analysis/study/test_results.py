"""Results as JSON."""

import json

import pytest

from analysis.ratings.table import Ratings
from analysis.study.analysis import analyse
from analysis.study.options import Settings
from analysis.study.results import as_json
from analysis.study.simulation import EFFECTS, simulate


@pytest.fixture(scope="module")
def results():
    ratings = simulate(EFFECTS, 5, ["Beach", "Park"], seed=2)
    return analyse(Ratings(ratings), Settings(draws=50))


def test_json_is_plain(results):
    text = json.dumps(as_json(results), allow_nan=False)
    assert json.loads(text)["bootstraps"]["two-way"]["prop"]["low"] < 100
