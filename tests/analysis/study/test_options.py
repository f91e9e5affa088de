"""Options of an analysis: the names they offer exist, and the command line takes precedence over a plan."""

import argparse

import numpy as np
import pytest

from analysis.statistics.intervals import CONVENTIONS
from analysis.statistics.paired_tests import compare_pairs, decide
from analysis.statistics.screening import PRESETS
from analysis.study.options import (
    CORRECTIONS,
    INTERVALS,
    SCREENINGS,
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
    pairs = compare_pairs(np.random.default_rng(1).normal(50, 5, (6, 3)), "abc").assign(p_permutation=0.5)
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
