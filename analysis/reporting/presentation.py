"""How a test ran, as far as its ratings tell it: orders, times, plays, underruns, devices.

The columns are those of docs/listening-results.md; tables of other programs have few of them or none.
"""

from __future__ import annotations

import pandas as pd

TIMES = {"time_ms", "plays", "listen_ms", "loops", "underruns"}
DEVICE = ("transducer", "layout", "device_channels", "output_map", "level_db", "browser")


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """Items of each listener in the order of his trials; empty without a column ``trial``."""
    if "trial" not in table:
        return pd.DataFrame()
    trials = _trials(table).assign(trial=lambda rows: _number(rows, "trial")).sort_values(["listener", "trial"])
    names = trials["item"]
    for name in ("attribute", "replicate"):
        if name in trials and trials[name].nunique() > 1:
            names = names + " (" + trials[name].astype(str) + ")"
    listed = names.groupby(trials["listener"]).agg(", ".join)
    return pd.DataFrame({"listener": listed.index, "order of the trials": listed.to_numpy()})


def times(table: pd.DataFrame) -> pd.DataFrame:
    """Time, plays and underruns of each listener, medians over trials or stimuli; empty without the columns."""
    if not {"trial", *TIMES} <= set(table.columns):
        return pd.DataFrame()
    trials, rows = _trials(table), []
    for listener, own in trials.groupby("listener"):
        stimuli = table[table["listener"] == listener]
        seconds = _number(own, "time_ms") / 1000
        rows.append({
            "listener": str(listener), "trials": len(own), "a trial, median s": float(seconds.median()),
            "all trials, min": float(seconds.sum() / 60),
            "plays of a stimulus": float(_number(stimuli, "plays").median()),
            "listened to a stimulus, s": float(_number(stimuli, "listen_ms").median() / 1000),
            "loops": int(_number(own, "loops").sum()), "underruns": int(_number(own, "underruns").sum()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def devices(table: pd.DataFrame) -> pd.DataFrame:
    """Devices with the listeners who used them, one row for each that differs; empty without the columns."""
    known = [name for name in DEVICE if name in table]
    if "transducer" not in known:
        return pd.DataFrame()
    used = table[["listener", *known]].drop_duplicates()
    grouped = used.groupby(known, sort=True)["listener"].agg(lambda names: ", ".join(sorted(names)))
    return grouped.reset_index().rename(columns={"listener": "listeners"})


def remarks(table: pd.DataFrame) -> list[str]:
    """What a reader must know of the presentation, in sentences."""
    found = []
    if "underruns" in table:
        trials = _trials(table)
        count = _number(trials, "underruns")
        lost = f", {_number(trials, 'underrun_ms').sum():.0f} ms together" if "underrun_ms" in trials else ""
        found.append(
            f"{int(count.sum())} underruns in {int((count > 0).sum())} of {len(trials)} trials{lost}; browsers "
            "report a lower bound."
            if count.sum()
            else f"No underrun was reported in {len(trials)} trials (a lower bound)."
        )
    if "transducer" in table and table["transducer"].nunique() > 1:
        kinds = ", ".join(
            f"{kind} by {rows['listener'].nunique()} listeners" for kind, rows in table.groupby("transducer")
        )
        found.append(f"Ratings by several transducers are analysed together here: {kinds}.")
    return found


def _trials(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each trial: what belongs to a trial is repeated in the row of each of its stimuli."""
    return table.drop_duplicates(["listener", "session", "trial"] if "trial" in table else ["listener", "item"])


def _number(table: pd.DataFrame, column: str) -> pd.Series:
    return pd.to_numeric(table[column], errors="coerce")
