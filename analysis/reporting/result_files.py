"""The results of a listening test as files: tables, JSON, and the texts for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.ratings.csv_text import write_rows
from analysis.reporting.drawing import Drawing
from analysis.reporting.paper_texts import latex_tables, sentences
from analysis.study.analysis import AnalysedTest
from analysis.study.results import as_json
from render.common.files import whole_file, write_json


def write_tables(test: AnalysedTest, folder: Path, force: bool = False) -> list[str]:
    """Write every table as CSV, and everything as summary.json; return the names of the files.

    Raises
    ------
    InputError
        If a file with other content exists and not `force`.
    """
    results = test.results
    tables = {"summary": results.summary, "pairs": results.pairs, "items": results.per_item,
              "contrasts": results.contrasts, "outliers": results.outliers}  # fmt: skip
    tables["listeners"] = results.panel.listeners
    if results.laboratories is not None:
        tables["laboratories"] = results.laboratories.means
    if results.ordinal is not None:
        tables["ordinal"] = results.ordinal.pairs
    if results.item_pairs is not None:
        tables["item_pairs"] = results.item_pairs
    if results.planned is not None:
        tables["planned"] = results.planned
    for name, table in tables.items():
        marked = table.assign(simulated="SIMULATED") if results.simulated else table
        rows = marked.itertuples(index=False, name=None)
        write_rows(folder / f"{name}.csv", [str(c) for c in marked.columns], rows, force)
    provenance: dict[str, Any] = {
        "sources": [{"file": name, "sha256": digest} for name, digest in test.sources],
        "formats": test.formats,
    }
    if test.plan:
        provenance["plan"] = {
            "title": test.plan.title,
            "frozen": test.plan.frozen,
            "deviations": test.deviations,
        }
    write_json(folder / "summary.json", as_json(results) | provenance, force=force)
    return [*(f"{name}.csv" for name in tables), "summary.json"]


def write_paper_texts(test: Drawing, folder: Path, force: bool = False) -> list[str]:
    """Write tables.tex and sentences.txt; return the names of the files.

    Raises
    ------
    InputError
        If a file with other content exists and not `force`.
    """
    texts = {"tables.tex": latex_tables(test), "sentences.txt": sentences(test)}
    for name, text in texts.items():
        with whole_file(folder / name, force=force) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(texts)
