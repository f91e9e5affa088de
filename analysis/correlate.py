"""How well do objective measures follow the listeners? Correlate a table of measures with the mean scores.

MEASURES is a CSV with the columns item, condition and one column for each measure (as objective.csv). Each
measure is compared with the mean score of every item and condition, the hidden reference left out (it is equal to
itself by any measure): Pearson's and Spearman's coefficients with 95 % bootstrap intervals over the items, the
mean of Spearman's coefficient within items, and the error of scores predicted by a straight line, in points. Lines
"systems" leave out the anchors too, which any measure tells from the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Float64


def read_measures(path: Path) -> pd.DataFrame:
    """Read a table of measures: columns ``item, condition`` and one numeric column for each measure."""
    import pandas as pd

    from analysis.sheet import read_text, rows

    body = rows(path, read_text(path))
    line, header = next(body, (1, []))
    if not {"item", "condition"} < set(header) or len(set(header)) < len(header):
        raise InputError(f"{path}:{line}: needs the columns item, condition and at least one measure, each once")
    found = []
    for line, row in body:
        if len(row) != len(header):
            raise InputError(f"{path}:{line}: has {len(row)} cells, the header has {len(header)}")
        values: dict[str, str | float] = {}
        for name, cell in zip(header, row, strict=True):
            values[name] = cell if name in ("item", "condition") else _number(path, line, name, cell)
        found.append(values)
    table = pd.DataFrame(found, columns=header)
    if table.duplicated(["item", "condition"]).any():
        raise InputError(f"{path}: an item and condition stands there twice")
    return table


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        value = float(cell or "nan")
    except ValueError:
        raise InputError(f"{path}:{line}: {name[:40]} '{cell[:40]}' is not a number") from None
    if value in (float("inf"), float("-inf")):
        raise InputError(f"{path}:{line}: {name[:40]} is infinite")
    return value


def pearson(x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> float:
    """Pearson's coefficient; NaN where either does not vary or there are fewer than 3 pairs."""
    import numpy as np

    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> float:
    """Spearman's coefficient: Pearson's of the midranks."""
    from analysis.paired import midranks

    return pearson(midranks(x), midranks(y))


def correlate(scores: pd.DataFrame, measures: pd.DataFrame, draws: int = 2000, seed: int = 1) -> pd.DataFrame:
    """Compare every measure with the scores.

    Parameters
    ----------
    scores
        Columns ``item, condition, mean``.
    measures
        Columns ``item, condition`` and measures.
    draws
        Bootstrap draws of the items.

    Returns
    -------
    DataFrame
        ``measure, conditions, n, pearson, pearson_low, pearson_high, spearman, spearman_low, spearman_high,
        within_items, rmse``; `conditions` is ``all`` or ``systems``.
    """
    import numpy as np
    import pandas as pd

    joined = scores.merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"]
    if len(joined) < 3:
        raise InputError(
            f"only {len(joined)} items and conditions have both scores and measures; do the names agree?"
        )
    found = []
    for name in [c for c in measures.columns if c not in ("item", "condition")]:
        for kind, left_out in (("all", set()), ("systems", {"la", "ma"})):
            part = joined[~joined["condition"].isin(left_out)].dropna(subset=["mean", name])
            if kind == "systems" and not left_out & set(joined["condition"]):
                continue
            x, y = part[name].to_numpy(float), part["mean"].to_numpy(float)
            groups = [np.flatnonzero(part["item"].to_numpy() == item) for item in part["item"].unique()]
            rng = np.random.Generator(np.random.Philox(seed))
            drawn = np.full((draws, 2), np.nan)
            for i in range(draws if len(groups) > 2 else 0):
                at = np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])
                drawn[i] = pearson(x[at], y[at]), spearman(x[at], y[at])
            kept = drawn[~np.isnan(drawn).any(axis=1)]
            low, high = np.quantile(kept, [0.025, 0.975], axis=0) if len(kept) else np.full((2, 2), np.nan)
            within = [spearman(x[g], y[g]) for g in groups]
            within = [value for value in within if not np.isnan(value)]
            r = pearson(x, y)
            error = np.sqrt((1 - r**2) * np.var(y)) if len(part) else np.nan
            found.append((name, kind, len(part), r, low[0], high[0], spearman(x, y), low[1], high[1],
                          np.mean(within) if within else np.nan, error))  # fmt: skip
    columns = ["measure", "conditions", "n", "pearson", "pearson_low", "pearson_high", "spearman", "spearman_low",
               "spearman_high", "within_items", "rmse"]  # fmt: skip
    return pd.DataFrame(found, columns=columns)


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.correlate")
    command.add_argument("measures", type=Path, metavar="MEASURES.csv")
    command.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="rating file(s) of one test")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--screening", choices=("bs1534-3", "mpeg-strict", "none"), default="bs1534-3")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("-o", "--output", type=Path, metavar="TABLE.csv", help="also write the table")
    command.add_argument("--force", action="store_true", help="replace a table that differs")
    arguments = command.parse_args()

    from analysis.ratings import is_simulated, read, read_key
    from analysis.results import analyse
    from render.artefact import whole_file

    measures = read_measures(arguments.measures)
    ratings = read(arguments.results, read_key(arguments.key) if arguments.key else None)
    results = analyse(ratings, screening=arguments.screening)
    table = correlate(results.per_item, measures, seed=arguments.seed)
    if is_simulated(ratings):
        print("SIMULATED RATINGS: no listener heard anything; these coefficients are evidence of nothing\n")
    print(f"{results.design}. {results.screened}.\n")
    columns = f"{'n':>5}{'Pearson':>9}{'95 % CI':>16}{'Spearman':>10}{'95 % CI':>16}{'within':>8}{'rmse':>7}"
    print(f"{'measure':<34}{columns}")
    for row in table.itertuples():
        pearson_ci = f"[{row.pearson_low:.2f}, {row.pearson_high:.2f}]"
        spearman_ci = f"[{row.spearman_low:.2f}, {row.spearman_high:.2f}]"
        print(f"{row.measure:<26}{row.conditions:<8}{row.n:>5}{row.pearson:>9.2f}{pearson_ci:>16}{row.spearman:>10.2f}"
              f"{spearman_ci:>16}{row.within_items:>8.2f}{row.rmse:>7.1f}")  # fmt: skip
    if arguments.output:
        with whole_file(arguments.output, force=arguments.force) as temporary:
            table.assign(simulated=is_simulated(ratings)).to_csv(temporary, index=False, lineterminator="\n")
        print(f"\nwrote {arguments.output}")


if __name__ == "__main__":
    run(main)
