"""Options of an analysis: the names they offer exist, and the command line takes precedence over a plan."""

import argparse

import numpy as np
import pytest

from analysis.statistics import condition_models as models
from analysis.statistics.intervals import CONVENTIONS
from analysis.statistics.paired_tests import compare_pairs, decide
from analysis.statistics.screening import PRESETS
from analysis.study.options import (
    CLAIM_OF_INTERVAL,
    CLAIM_OF_TEST,
    CLAIMS,
    CORRECTIONS,
    INTERVAL_OF_CLAIM,
    INTERVALS,
    SCREENINGS,
    TEST_OF_CLAIM,
    TESTS,
    Settings,
    add_options,
    chosen_settings,
    renamed_conditions,
)
from render.common.errors import InputError


def parse(*arguments):
    command = argparse.ArgumentParser()
    add_options(command)
    return command.parse_args(["r.csv", *arguments])


def test_every_name_that_is_offered_selects_something():
    assert set(SCREENINGS) == set(PRESETS)
    assert set(INTERVALS) == set(CONVENTIONS)
    pairs = compare_pairs(np.random.default_rng(1).normal(50, 5, (6, 4, 3)), "abc").assign(p_permutation=0.5)
    for test in TESTS:
        for correction in CORRECTIONS:
            assert "different" in decide(pairs, test, correction, 0.05)


def test_the_command_line_precedes_the_plan():
    planned = Settings(screening="mpeg-strict", ci="crossed", draws=1000, seed=7, margin=5.0)
    assert chosen_settings(parse(), planned) == planned
    given = chosen_settings(parse("--ci", "paper", "--draws", "0", "--seed", "0"), planned)
    assert given == Settings(screening="mpeg-strict", ci="paper", draws=0, seed=0, margin=5.0)


@pytest.mark.parametrize("option", [("--draws", "-1"), ("--seed", "-1"), ("--margin", "0"), ("--margin", "101")])
def test_settings_out_of_range_are_refused(option):
    with pytest.raises(InputError, match=option[0]):
        chosen_settings(parse(*option), Settings())


def test_names_of_reference_and_anchors():
    assert renamed_conditions(parse()) == {}
    named = parse("--reference", "Ref", "--mid-anchor", "LP7")
    assert renamed_conditions(named) == {"Ref": "href", "LP7": "ma"}


def test_claim_interval_and_test_belong_together():
    assert set(CLAIMS) == set(models.CLAIMS) == set(INTERVAL_OF_CLAIM) == set(TEST_OF_CLAIM)
    assert set(CLAIM_OF_TEST) == set(TESTS) - {"permutation"}
    for claim in CLAIMS:
        assert CLAIM_OF_INTERVAL[INTERVAL_OF_CLAIM[claim]] == CLAIM_OF_TEST[TEST_OF_CLAIM[claim]] == claim
    defaults = Settings()
    assert (defaults.claim, defaults.ci) == ("items", "listener")
    chosen = {arguments: chosen_settings(parse(*arguments), defaults) for arguments in (
        ("--claim", "material"), ("--ci", "crossed"), ("--claim", "material", "--ci", "paper"), ("--ci", "paper"),
    )}  # fmt: skip
    assert [(s.claim, s.ci) for s in chosen.values()] == [
        ("material", "crossed"), ("material", "crossed"), ("material", "paper"), ("items", "paper"),
    ]  # fmt: skip
    with pytest.raises(
        InputError, match="--ci listener is an interval for the claim items, not for --claim material"
    ):
        chosen_settings(parse("--claim", "material", "--ci", "listener"), defaults)
