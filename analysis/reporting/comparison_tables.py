"""Results of BS.1116, AB and ABX tests as files and as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.ratings.comparisons import Comparisons
from analysis.ratings.csv_text import write_rows
from analysis.study.comparison import CAVEATS
from render.common.errors import InputError
from render.common.files import write_json

_MAX_LINES = 40


def write_tables(
    folder: Path,
    test: Comparisons,
    rows: Sequence[Mapping[str, Any]],
    experts: Sequence[Mapping[str, Any]],
    scale: Sequence[Mapping[str, Any]] = (),
    force: bool = False,
) -> None:
    """Write ``summary.csv``, ``summary.json`` and, if there is a scale, ``scale.csv``; simulated rows say so.

    Where there is none, the ``scale.csv`` of an earlier analysis is removed (`force`) or refused.
    """
    earlier = folder / "scale.csv"
    if not scale and earlier.is_file() and not force:
        raise InputError(f"{earlier}: is of another analysis, this one has no scale; --force removes it")
    mark = ["SIMULATED"] if test.simulated else []
    for name, table in (("summary", rows), ("scale", scale)):
        if table:
            header = [*table[0], *(["simulated"] if test.simulated else [])]
            write_rows(folder / f"{name}.csv", header, ([*row.values(), *mark] for row in table), force)
    content = {
        "method": test.method, "source": {"file": test.source, "sha256_of_results": test.sha256},
        "simulated": test.simulated, "how": CAVEATS[test.method], "notes": list(test.notes),
        "rows": [_plain(row) for row in rows],
    }  # fmt: skip
    if test.method == "bs1116":
        content["expertise"] = [_plain(row) for row in experts]
    if test.method == "ab":
        content["scale"] = [_plain(row) for row in scale]
    write_json(folder / "summary.json", content, force=force)
    if not scale and earlier.is_file():
        earlier.unlink()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if value in (math.inf, -math.inf) or value != value else value for name, value in row.items()
    }


def lines(
    test: Comparisons,
    rows: Sequence[Mapping[str, Any]],
    experts: Sequence[Mapping[str, Any]],
    scale: Sequence[Mapping[str, Any]] = (),
) -> Iterator[str]:
    """Yield the analysis over all items and listeners, who was no expert, the scale, and what must be known."""
    if test.simulated:
        yield "SIMULATED RATINGS: no listener heard anything\n"
    groups = {(row["attribute"], row["transducer"]) for row in rows}
    for row in [row for row in rows if row["scope"] == "overall"][:_MAX_LINES]:
        where = f" ({row['attribute']}, {row['transducer']})" if len(groups) > 1 else ""
        yield f"{_sentence(test.method, row)}{where}"
    if len(groups) > 1:
        yield f"{len(groups)} groups of attribute and transducer, which are not pooled"
    for row in experts:
        verdict = "identified the hidden reference" if row["expert"] else "did not identify the hidden reference"
        yield f"{row['listener']} {verdict}: {row['identified']} of {row['trials']}, one-sided p {_p(row['p'])}"
    for row in sorted(scale, key=lambda row: (row["attribute"], row["transducer"], -row["strength"])):
        where = f" ({row['attribute']}, {row['transducer']})" if len(groups) > 1 else ""
        yield (
            f"{row['condition']}: strength {row['strength']:.2f} (95 % {row['ci_low']:.2f} to "
            f"{row['ci_high']:.2f}), preferred to an average system in {100 * row['share']:.0f} %{where}"
        )
    if scale:
        yield f"consistent with one scale (Bradley and Terry)? p of the fit {_p(scale[0]['p_fit'])}"
    for note in test.notes:
        yield f"note: {note}"
    yield f"note: {CAVEATS[test.method]}"


def _sentence(method: str, row: Mapping[str, Any]) -> str:
    interval = f"95 % {row['ci_low']:.2f} to {row['ci_high']:.2f}"
    if method == "bs1116":
        return (
            f"{row['condition']}: difference grade {row['mean']:.2f} ({interval}), {row['units']} {row['unit']}, "
            f"t test p {_p(row['p_t'])} (Holm {_p(row['p_holm'])}), sign test p {_p(row['p_sign'])}"
        )
    pair = f"{row['first']} – {row['second']}"
    if method == "ab":
        return (
            f"{pair}: {row['first']} preferred in {row['prefer_first']}, {row['second']} in "
            f"{row['prefer_second']}, neither in {row['same']} of {row['trials']} trials; "
            f"share {row['share']:.2f} ({interval}), "
            f"p {_p(row['p_binomial'])}, over {row['listeners']} listeners p {_p(row['p_listeners'])}"
        )
    return (
        f"{pair}: {row['correct']} of {row['trials']} correct, share {row['share']:.2f} ({interval}), one-sided "
        f"p {_p(row['p_binomial'])}, d' {row['d_independent']:.2f} ({row['d_independent_low']:.2f} to "
        f"{row['d_independent_high']:.2f}; independent observations), {row['d_differencing']:.2f} (differencing)"
    )


def _p(p: float) -> str:
    return "none" if math.isnan(p) else f"{p:.3g}"
