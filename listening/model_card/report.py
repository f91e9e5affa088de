"""What a card says of the rows that were measured: ladder of codebooks, comparisons, goals, and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from analysis.metrics.registry import by_name
from analysis.metrics.results import summarise
from analysis.statistics.interval import t_interval
from listening.conditions.rvqgan import ALL_CODEBOOKS, FIRST_CODEBOOKS

LADDER = (1, 2, 4, 9)
"""Codebooks that a card shows besides all of them."""
OTHERS = (
    "layer_opus_16", "layer_only", "dirac_opus_16", "dirac_opus_24", "dirac_opus_32", "pca_opus_16", "opus3_160",
    "opus2_160_cbr", "la", "cov_noise",
)  # fmt: skip
"""Conditions that every model is measured beside; family 2, as family 3 at 160 kbit/s stands on a cliff."""
COLUMNS = {
    "kbps": 1, "mel_train": 2, "cov_sum": 1, "covband_mean": 3, "doa_deg": 1, "doa_band_deg": 1, "diff_mae": 3,
    "ls_lvl_db": 1, "ild_db": 2, "iacc": 3, "map_corr": 3, "ord0_db": 1, "ord1_db": 1, "ord2_db": 1, "ord3_db": 1,
    "ord3_band_db": 1, "snr_lf_db": 1,
}  # fmt: skip
"""Columns of the first table and their decimals: levels, correlations, directions, which parameters can send."""
FINE_COLUMNS = {
    "fine_W_mid": 2, "fine_ears_mid": 2, "fine_ls_mid": 2, "fine_W_high": 2, "fine_ears_high": 2, "env_W_mid": 2,
    "env_ears_mid": 2, "env_ls_mid": 2, "env_W_high": 2, "env_ears_high": 2, "pre_2_db": 0, "pre_10_db": 0,
    "pre_25_db": 0, "pre_50_db": 0, "attack_db": 1, "tone_noise_db": 1, "line_64_db": 1, "line_128_db": 1,
    "line_256_db": 1, "musical_db": 1, "estoi_W": 2,
}  # fmt: skip
"""Columns of the second table: fine structure, attacks, tones and speech, which parameters do not send."""
DECIMALS = COLUMNS | FINE_COLUMNS
COMPARED = tuple(name for name in DECIMALS if name != "kbps")
DISTANCES = tuple(name for name in COMPARED if name not in ("ord0_db", "ord1_db", "ord2_db", "ord3_db"))
"""Compared columns without the long-term levels, which side information may set for any number of codebooks."""

TO_BEAT = {
    "pca_opus_16": (
        "mel_train", "cov_sum", "covband_mean", "doa_deg", "diff_mae", "ls_lvl_db", "ild_db", "iacc",
    ),
    "opus3_160": ("mel_train", "cov_sum", "doa_deg", "iacc"),
    "layer_opus_16": ("fine_W_mid", "fine_ears_mid", "env_W_mid", "env_ears_mid"),
}  # fmt: skip
"""What the codec is to be nearer to the original in, by whom."""
LIMITS = {"kbps": 15.7, "cov_sum": 8.0, "doa_deg": 7.0, "pre_25_db": -40.0, "line_64_db": 1.0}
"""What the mean over the items of a set is to stay under."""
MIN_ESTOI = 0.85
MIN_PERPLEXITY = 150.0

_NAMES = {
    "layer_opus_16": "the spatial layer and Opus at 16 kbit/s",
    "layer_only": "the spatial layer and noise",
    "dirac_opus_16": "first-order DirAC and Opus at 16 kbit/s",
    "dirac_opus_24": "first-order DirAC and Opus at 24 kbit/s",
    "dirac_opus_32": "first-order DirAC and Opus at 32 kbit/s",
    "pca_opus_16": "PCA, one Opus channel at 16 kbit/s",
    "opus3_160": "Opus family 3 at 160 kbit/s",
    "opus2_160_cbr": "Opus family 2 at 160 kbit/s, constant rate",
    "la": "anchor, 3.5 kHz low-pass",
    "cov_noise": "noise with the same covariance",
}

Row = dict[str, Any]


def ladder_of(codebooks: int) -> tuple[str, ...]:
    """Conditions of the codec, from one codebook to all of which a file has at least a part."""
    return (*(FIRST_CODEBOOKS.with_number(n) for n in LADDER if n < codebooks), ALL_CODEBOOKS.template)


def errors(rows: Sequence[Row], condition: str, name: str) -> dict[str, float]:
    """Distance of a measure from its ideal, item by item: 0 is perfect in every column."""
    ideal = by_name()[name].ideal
    assert ideal is not None, f"{name} has no ideal"
    of = {row["item"]: row["values"].get(name) for row in rows if row["condition"] == condition}
    return {item: abs(value - ideal) for item, value in of.items() if value is not None}


def ladder(rows: Sequence[Row], conditions: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Mean error of each column by codebooks, and the steps that take it away from the original.

    A step in ``rises`` has the rise of the mean and the half width of its 95 % confidence interval (Student's t
    over the items), which is None for a single item.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in COMPARED:
        rungs = [errors(rows, condition, name) for condition in conditions]
        if all(rungs):
            steps = zip(conditions[1:], pairwise(rungs), strict=True)
            rises = [_rise(condition, fewer, more) for condition, (fewer, more) in steps]
            found[name] = {
                "errors": [float(np.mean(list(rung.values()))) for rung in rungs],
                "rises": [rise for rise in rises if rise["rise"] > 0],
            }
    return found


def _rise(to: str, fewer: Mapping[str, float], more: Mapping[str, float]) -> dict[str, Any]:
    rises = np.array([more[item] - fewer[item] for item in fewer if item in more])
    interval = t_interval(rises) if rises.size > 1 else None
    return {"to": to, "rise": float(rises.mean()), "ci": (interval.high - interval.low) / 2 if interval else None}


def against(rows: Sequence[Row], other: str) -> dict[str, dict[str, Any]]:
    """Compare all codebooks with another condition, column by column, item by item.

    ``difference`` is the mean of our error minus the other's, negative where ours is nearer to the original, with
    its 95 % confidence interval (Student's t over the items).
    """
    found: dict[str, dict[str, Any]] = {}
    for name in COMPARED:
        ours, theirs = errors(rows, "prop", name), errors(rows, other, name)
        items = [item for item in ours if item in theirs]
        if not items:
            continue
        differences = np.array([ours[item] - theirs[item] for item in items])
        interval = t_interval(differences) if len(items) > 1 else None
        found[name] = {
            "ours": float(np.mean([ours[item] for item in items])),
            "theirs": float(np.mean([theirs[item] for item in items])),
            "difference": float(differences.mean()),
            "ci_low": interval.low if interval else None,
            "ci_high": interval.high if interval else None,
            "items": len(items),
            "items_better": int((differences < 0).sum()),
            "better": bool(differences.mean() < 0),
        }
    return found


def goals(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the codec is to reach on a set, whether it does, and where not."""
    found = []
    for other, names in TO_BEAT.items():
        rows = {name: row for name, row in report["against"][other].items() if name in names}
        if not rows:
            continue
        missed = [f"{name} ({_pair(name, row)})" for name, row in rows.items() if not row["better"]]
        # of a single item there is no interval; its heading says that it is one
        several = {name: row for name, row in rows.items() if row["items"] > 1}
        unsure = [name for name, row in several.items() if row["better"] and row["ci_high"] >= 0]
        found.append(_goal(f"nearer to the original than {_NAMES[other]} in {', '.join(rows)}", missed, unsure))
    steps = {name: row["rises"] for name, row in report["ladder"].items() if name in DISTANCES}
    rising = [f"{name} ({', '.join(map(_rise_text, rises))})" for name, rises in steps.items() if rises]
    found.append(_goal(f"no step to more codebooks leads away from the original in {', '.join(steps)}", rising))
    usage = report["perplexity"]
    low = [f"codebook {n} ({p:.0f})" for n, p in enumerate(usage["codebooks"], 1) if p < MIN_PERPLEXITY]
    found.append(_goal(f"perplexity of every codebook at least {MIN_PERPLEXITY:g}", low))
    means = {row["measure"]: row["mean"] for row in report["conditions"] if row["condition"] == "prop"}
    for name, limit in LIMITS.items():
        if name in means:  # a set without onsets has no pre-echo
            over = [f"{means[name]:.{DECIMALS[name]}f}"] if means[name] > limit else []
            found.append(_goal(f"{name} at most {limit:g}", over))
    if "estoi_W" in means:
        under = [f"{means['estoi_W']:.2f}"] if means["estoi_W"] < MIN_ESTOI else []
        found.append(_goal(f"estoi_W of speech at least {MIN_ESTOI:g}", under))
    return found


def _goal(text: str, missed: list[str], uncertain: Sequence[str] = ()) -> dict[str, Any]:
    return {"goal": text, "met": not missed, "missed": missed, "uncertain": list(uncertain)}


def _rise_text(rise: Mapping[str, Any]) -> str:
    """One rise, with the interval that says whether another set of items would show it."""
    first = FIRST_CODEBOOKS.parse(rise["to"])
    to = first.number if first else "all"
    return f"to {to}: +{rise['rise']:.2g}" + (f" ± {rise['ci']:.2g}" if rise["ci"] is not None else "")


def _pair(name: str, row: Mapping[str, Any]) -> str:
    digits = DECIMALS[name]
    return f"{row['ours']:.{digits}f}, theirs {row['theirs']:.{digits}f}"


def report_of(
    rows: Sequence[Row], codebooks: int, note: str, usage: Mapping[str, Any], refused: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything that a card says of a set of items; `refused` is what the quality gate has against them."""
    report: dict[str, Any] = {
        "note": note,
        "items": {row["item"]: row["material"] for row in rows},
        "conditions": summarise(rows),
        "perplexity": dict(usage),
        "refused": list(refused),
        "ladder": ladder(rows, ladder_of(codebooks)),
        "against": {other: against(rows, other) for other in OTHERS},
    }
    return report | {"goals": goals(report)}


def markdown(name: str, report: Mapping[str, Any], codebooks: int) -> str:
    """Tables of a set for a README: conditions by columns, then what holds and what does not."""
    lines = [f"### {name}: {_material(report)}", "", *_table(report, COLUMNS, codebooks), ""]
    lines += _table(report, FINE_COLUMNS, codebooks)
    usage = report["perplexity"]
    lines += [
        "",
        f"Perplexity per codebook over {usage['frames']} frames (codes used evenly would read "
        f"{usage['uniform']:.0f}): " + ", ".join(f"{value:.0f}" for value in usage["codebooks"]) + ".",
        "",
    ]
    if len(report["items"]) == 1:
        lines += ["One item: nothing can be said of how far these figures reach.", ""]
    for goal in report["goals"]:
        state = "met" if goal["met"] else f"**not met**: {', '.join(goal['missed'])}"
        if goal["uncertain"]:
            state += f" (the 95 % CI over items does not exclude the opposite in {', '.join(goal['uncertain'])})"
        lines.append(f"- {goal['goal']}: {state}")
    lines += [f"- listening.build would refuse: {sentence}" for sentence in report["refused"]]
    return "\n".join(lines) + "\n"


def _table(report: Mapping[str, Any], columns: Mapping[str, int], codebooks: int) -> list[str]:
    """Lines of a table; the first row is the ceiling of every measure, the last one, noise, the floor."""
    cells = {(row["condition"], row["measure"]): row for row in report["conditions"]}
    shown = [column for column in columns if any(column == measure for _, measure in cells)]
    if not shown:
        return []
    ideals = [by_name()[column].ideal for column in shown]
    lines = [
        "| condition | " + " | ".join(shown) + " |",
        "| --- |" + " --- |" * len(shown),
        "| *a perfect copy* | " + " | ".join("" if v is None else f"*{v:g}*" for v in ideals) + " |",
    ]
    measured = {condition for condition, _ in cells}
    for condition in (name for name in (*ladder_of(codebooks), *OTHERS) if name in measured):
        values = [_cell(cells.get((condition, column)), columns[column]) for column in shown]
        lines.append(f"| {_label(condition, codebooks)} | " + " | ".join(values) + " |")
        if condition == "prop" and len(report["items"]) > 1:
            widths = [_half_width(cells.get((condition, column)), columns[column]) for column in shown]
            lines.append("| … ± (95 % CI over items) | " + " | ".join(widths) + " |")
    return lines


def _material(report: Mapping[str, Any]) -> str:
    """What the items are: the user's note, and what their records say."""
    count = f"{len(report['items'])} item{'s' * (len(report['items']) != 1)}"
    recorded = set(report["items"].values())
    if report["note"]:
        recorded.discard("recording")  # the record knows no more; that a scene is synthetic no note hides
    return ", ".join(filter(None, (count, report["note"], *sorted(recorded))))


def _label(condition: str, codebooks: int) -> str:
    if condition in _NAMES:
        return _NAMES[condition]
    first = FIRST_CODEBOOKS.parse(condition)
    count = first.number if first and first.number else codebooks
    return f"{count} codebook{'s' * (count > 1)}"


def _cell(entry: Mapping[str, Any] | None, digits: int) -> str:
    return "–" if entry is None else f"{round(entry['mean'], digits) + 0.0:.{digits}f}".replace("-", "−")


def _half_width(entry: Mapping[str, Any] | None, digits: int) -> str:
    if entry is None or entry["ci_low"] is None:
        return "–"
    return f"{(entry['ci_high'] - entry['ci_low']) / 2:.{digits}f}"
