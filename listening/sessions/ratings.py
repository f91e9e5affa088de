"""The rows that a finished trial adds to the results: one for each rated stimulus, or one for a choice.

docs/listening-results.md says what every column holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from listening.sessions.package import Item, Rendition, Stimulus
from listening.sessions.pages import REFERENCE, Trial
from listening.sessions.progress import PageState, Progress, SlotUse

_OF_TRIAL = (
    "time_ms", "loops", "underruns", "underrun_ms", "level_db", "transducer", "layout", "device_channels",
    "output_map", "browser", "comment", "date",
)  # fmt: skip

TABLES = {
    "rating": (
        "session", "listener", "item", "stimulus", "attribute", "replicate", "trial", "slot", "score", "moved",
        "plays", "listen_ms", "first_ms", "last_ms", "stimulus_sha256", *_OF_TRIAL,
    ),
    "grade": (
        "session", "listener", "item", "stimulus", "attribute", "replicate", "trial", "slot", "grade",
        "reference_grade", "difference_grade", "plays", "reference_plays", "listen_ms", "first_ms", "last_ms",
        "stimulus_sha256", *_OF_TRIAL,
    ),
    "choice": (
        "session", "listener", "item", "a", "b", "x", "attribute", "replicate", "trial", "choice", "correct",
        "plays_a", "plays_b", "plays_x", "plays_reference", "listen_ms", "a_sha256", "b_sha256", *_OF_TRIAL,
    ),
}  # fmt: skip
"""Tables of results and their columns: `rating` of MUSHRA, `grade` of BS.1116, `choice` of AB and ABX."""

TABLE_OF = {"mushra": "rating", "bs1116": "grade", "abx": "choice", "ab": "choice"}


@dataclass(frozen=True)
class Rater:
    """Who finished a trial, and under which name of the session it is kept."""

    session: str
    listener: str
    method: str


def rows(
    rater: Rater, trial: Trial, page: PageState, progress: Progress, rendition: Rendition, received_ms: int
) -> list[dict[str, Any]]:
    """Rows of a finished trial for the table of its method.

    Parameters
    ----------
    rater : Rater
    trial : Trial
    page : PageState
        Of the trial, after its ``done``.
    progress : Progress
    rendition : Rendition
        That was heard.
    received_ms : int
        When the server received the ``done``: the date of the rating, in milliseconds since 1970 (UTC).
    """
    files = rendition.items[trial.item]
    common = {
        "session": rater.session,
        "listener": rater.listener,
        "item": trial.item,
        "attribute": trial.attribute,
        "replicate": trial.replicate,
        "trial": trial.number,
    } | _of_trial(page, progress, rendition, received_ms)
    if rater.method == "mushra":
        return [common | _rated(files, trial, page, slot) for slot in range(1, len(trial.slots) + 1)]
    if rater.method == "bs1116":
        return [common | _graded(files, trial, page)]
    return [common | _chosen(files, trial, page, rater.method)]


def _of_trial(page: PageState, progress: Progress, rendition: Rendition, received_ms: int) -> dict[str, Any]:
    device = progress.device or {}
    underruns, underrun_ms = page.all_underruns
    output_map = device.get("output_map")
    return {
        "time_ms": page.time_ms,
        "loops": page.loops,
        "underruns": underruns,
        "underrun_ms": round(underrun_ms, 3),
        "level_db": progress.level_db,
        "transducer": device.get("transducer", ""),
        "layout": rendition.layout["name"],
        "device_channels": device.get("max_channels"),
        "output_map": output_map if isinstance(output_map, str) else json.dumps(output_map, separators=(",", ":")),
        "browser": str(device.get("browser", "")),
        "comment": page.comment,
        "date": datetime.fromtimestamp(received_ms / 1000).astimezone().isoformat(timespec="seconds"),
    }


def _rated(files: Item, trial: Trial, page: PageState, slot: int) -> dict[str, Any]:
    use = page.slots.get(slot, SlotUse())
    return {
        "stimulus": trial.slots[slot - 1],
        "slot": slot,
        "score": page.scores[slot],
        "moved": use.moves,
        "plays": use.plays,
        "listen_ms": use.listen_ms,
        "first_ms": use.first_ms,
        "last_ms": use.last_ms,
        "stimulus_sha256": _file(files, trial.slots[slot - 1]).sha256,
    }


def _graded(files: Item, trial: Trial, page: PageState) -> dict[str, Any]:
    """Difference grade of BS.1116-3: grade of the object minus grade of the hidden reference."""
    hidden = trial.slots.index(REFERENCE) + 1
    slot = 3 - hidden
    row = _rated(files, trial, page, slot)
    del row["moved"], row["score"]
    return row | {
        "grade": page.scores[slot],
        "reference_grade": page.scores[hidden],
        "difference_grade": round(page.scores[slot] - page.scores[hidden], 9),
        "reference_plays": page.slots.get(hidden, SlotUse()).plays,
    }


def _chosen(files: Item, trial: Trial, page: PageState, method: str) -> dict[str, Any]:
    a, b = trial.slots[:2]

    def plays(slot: int) -> int:
        return page.slots.get(slot, SlotUse()).plays

    of_abx = {"x": None, "correct": None, "plays_x": None}
    if method == "abx":
        x = "a" if trial.slots[2] == a else "b"
        of_abx = {"x": x, "correct": int(page.choice == x), "plays_x": plays(3)}
    return of_abx | {
        "a": a,
        "b": b,
        "choice": page.choice,
        "plays_a": plays(1),
        "plays_b": plays(2),
        "plays_reference": plays(0) if trial.has_reference else None,
        "listen_ms": sum(use.listen_ms for use in page.slots.values()),
        "a_sha256": _file(files, a).sha256,
        "b_sha256": _file(files, b).sha256,
    }


def _file(files: Item, name: str) -> Stimulus:
    return files.reference if name == REFERENCE else files.stimuli[name]
