"""The table of results: means over items with confidence intervals, as text and as CSV and JSON files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.metrics.registry import MEASURES, by_name, columns
from analysis.ratings.csv_text import neutralise
from analysis.statistics.interval import t_interval
from render.common.files import versions, whole_file, write_json


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean over the items of every measure and condition, with its 95 % confidence interval.

    Parameters
    ----------
    rows : sequence of dict
        As `analysis.metrics.evaluation.measure_items` yields them.

    Returns
    -------
    list of dict
        ``condition``, ``measure``, ``n`` (number of items that have a value), ``mean``, ``ci_low`` and ``ci_high``
        (Student's t; None for a single item).
    """
    summary = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = [row["values"] for row in rows if row["condition"] == condition]
        for name in columns(own):
            values = np.array([of_item[name] for of_item in own if of_item.get(name) is not None])
            interval = t_interval(values) if len(values) > 1 else None
            summary.append({
                "condition": condition,
                "measure": name,
                "n": len(values),
                "mean": float(values.mean()),
                "ci_low": interval.low if interval else None,
                "ci_high": interval.high if interval else None,
            })  # fmt: skip
    return summary


def table_text(rows: Sequence[dict[str, Any]], line_width: int) -> str:
    """Return a table of measures by conditions: mean over the items ± half of the 95 % confidence interval.

    Parameters
    ----------
    rows : sequence of dict
        As `analysis.metrics.evaluation.measure_items` yields them.
    line_width : int
        Characters per line; conditions that do not fit follow in further tables below.
    """
    summary = {(entry["measure"], entry["condition"]): entry for entry in summarise(rows)}
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    has_intervals = any(entry["n"] > 1 for entry in summary.values())
    width = max(21 if has_intervals else 11, *(len(condition) + 2 for condition in conditions))
    per_line = max(line_width // width, 1)
    lines = []
    for first in range(0, len(conditions), per_line):
        shown = conditions[first : first + per_line]
        lines.append(f"{'measure':<17}{'unit':<8}{'ideal':>7}  " + "".join(f"{name:>{width}}" for name in shown))
        for name, measure in by_name().items():
            cells = [summary.get((name, condition)) for condition in shown]
            if any(cells):
                ideal = "" if measure.ideal is None else f"{measure.ideal:g}"
                values = "".join(f"{_cell(cell):>{width}}" for cell in cells)
                lines.append(f"{name:<17}{measure.unit:<8}{ideal:>7}  {values}")
        lines.append("")
    return "\n".join(lines)


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what a reader of the table must know: how tests were aligned or cut, and lost channels."""
    found = []
    for row in rows:
        found += [f"{row['item']}, {row['condition']}: {note}" for note in row["notes"]]
        if row["silent_channels"]:
            found.append(f"{row['item']}, {row['condition']}: lost channels {_ranges(row['silent_channels'])}")
    if any(row["material"].startswith("synth") for row in rows):
        found.append("SYNTHETIC material; these figures are no evidence of a codec's quality on recordings")
    return found


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    mean = f"{entry['mean']:.4g}"
    return mean if entry["ci_low"] is None else f"{mean} ±{(entry['ci_high'] - entry['ci_low']) / 2:.2g}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as text, ``4-15`` for consecutive ones."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def write_results(rows: Sequence[dict[str, Any]], folder: Path, force: bool) -> None:
    """Write objective.csv and objective.json; a measure that is not applicable is an empty field and a null.

    Parameters
    ----------
    rows : sequence of dict
        As `analysis.metrics.evaluation.measure_items` yields them.
    folder : Path
    force : bool
        Whether files with other content are replaced.

    Raises
    ------
    InputError
        If there are files with other content and not `force`.
    """
    names = columns([row["values"] for row in rows])
    lines = [",".join(["item", "condition", "material", *names])]
    for row in rows:
        texts = [neutralise(row[name]) for name in ("item", "condition", "material")]
        lines.append(",".join([*map(_quoted, texts), *(_number(row["values"].get(name)) for name in names)]))
    with whole_file(folder / "objective.csv", force=force) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {
        "definitions": "docs/measures.md",
        "versions": versions("hoa-rvqgan", "numpy", "scipy"),
        "measures": [vars(measure) for measure in MEASURES if measure.name in names],
        "conditions": summarise(rows),
        "rows": [{**row, "values": {name: row["values"].get(name) for name in names}} for row in rows],
    }
    write_json(folder / "objective.json", content, force=force)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(letter in text for letter in ',"\n\r') else text


def _number(value: float | None) -> str:
    """Seven digits, which is more than the accuracy of any measure."""
    return "" if value is None else f"{value:.7g}"
