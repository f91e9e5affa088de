"""How a test ran: by value from ratings as the listening test keeps them."""

import pandas as pd
import pytest

from analysis.reporting import presentation


def ratings():
    rows = []
    for listener, order in (("L01", ("b", "a")), ("L02", ("a", "b"))):
        for trial, item in enumerate(order, start=1):
            for stimulus in range(3):
                rows.append({
                    "session": "s", "listener": listener, "item": item, "condition": f"c{stimulus}",
                    "score": 50.0, "replicate": 1, "trial": str(trial), "time_ms": str(60_000 * trial),
                    "plays": str(stimulus + 1), "listen_ms": str(1000 * (stimulus + 1)), "loops": "2",
                    "underruns": str(3 * (listener == "L02")), "underrun_ms": "10.5",
                    "level_db": "-1.5" if listener == "L02" else "0", "transducer": "loudspeakers",
                    "layout": "4+7+0", "device_channels": "12", "output_map": "[0,1]", "browser": "Chromium 156",
                })  # fmt: skip
    return pd.DataFrame(rows)


def test_orders_follow_the_trials_of_each_listener():
    assert presentation.orders(ratings()).to_numpy().tolist() == [["L01", "b, a"], ["L02", "a, b"]]
    twice = pd.concat(
        [ratings(), ratings().assign(replicate=2, trial=lambda r: (r["trial"].astype(int) + 2).astype(str))]
    )
    assert presentation.orders(twice)["order of the trials"][0] == "b (1), a (1), b (2), a (2)"


def test_times_and_counts_belong_to_trials_and_plays_to_stimuli():
    first, second = presentation.times(ratings()).to_dict("records")
    assert (first["trials"], first["a trial, median s"], first["all trials, min"]) == (2, 90, 3)
    assert (first["plays of a stimulus"], first["listened to a stimulus, s"]) == (2, 2)
    assert (first["loops"], first["underruns"], second["underruns"]) == (4, 0, 6)
    assert presentation.remarks(ratings()) == [
        "6 underruns in 2 of 4 trials, 42 ms together; browsers report a lower bound."
    ]


def test_devices_that_differ_have_a_row_with_their_listeners():
    rows = presentation.devices(ratings()).to_dict("records")
    assert [(row["level_db"], row["listeners"]) for row in rows] == [("-1.5", "L02"), ("0", "L01")]
    assert {row["output_map"] for row in rows} == {"[0,1]"}
    mixed = ratings()
    mixed.loc[mixed["listener"] == "L02", "transducer"] = "headphones"
    assert presentation.remarks(mixed)[1] == (
        "Ratings by several transducers are analysed together here: headphones by 1 listeners, loudspeakers by 1 "
        "listeners."
    )


@pytest.mark.parametrize("table", [ratings()[["session", "listener", "item", "condition", "score"]]])
def test_ratings_of_other_programs_tell_nothing_of_it(table):
    assert presentation.orders(table).empty
    assert presentation.times(table).empty
    assert presentation.devices(table).empty
    assert presentation.remarks(table) == []
