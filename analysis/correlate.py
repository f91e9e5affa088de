"""How well do objective measures follow the listeners? Compare a table of measures with the mean scores.

RATINGS are the files of one listening test, OBJECTIVE.csv is the table of analysis.objective (columns item,
condition and one for each measure). Each measure is compared with the mean score of every item and condition,
the hidden reference left out (any measure finds it equal to itself): pooled over all conditions; over the
systems, which leaves out the anchors too, as any measure tells them from the rest; and over the items of each
condition. Pearson's,
Spearman's and Kendall's coefficients come with 95 % bootstrap intervals over the items. The logarithm of the bit
rate is the baseline to beat: where the table has rates, the last columns say by how much |Spearman| is larger.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Float64

TEXT = ("item", "condition", "material")
OTHER = (*TEXT, "lag_samples", "align_corr", "silent_channels")
"""Columns of a table of measures that are no measures."""
BASELINE = "log2_kbps"
COEFFICIENTS = ("pearson", "spearman", "kendall")


def read_measures(path: Path) -> pd.DataFrame:
    """Read a table of measures: ``item, condition`` and one numeric column for each measure; empty is missing.

    Raises
    ------
    InputError
        With file and line: a column missing or twice, a cell that is no finite number, a pair that is there twice.
    """
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
            values[name] = cell if name in TEXT else _number(path, line, name, cell)
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


def coefficients(
    x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, "draw n"]
) -> Float64[np.ndarray, "draw 3"]:
    """Pearson's r, Spearman's rho and Kendall's tau-b of pairs that count `weights` times; NaN where undefined.

    With s_ij = sign(x_i - x_j) the midranks of a weighted sample are Σ_j w_j s_ij / 2 and a constant, and
    tau-b is Σ w_i w_j s_ij t_ij over the root of the same sums of s² and t².
    """
    import numpy as np

    signs = [np.sign(v[:, None] - v) for v in (x, y)]
    total = weights.sum(axis=1, keepdims=True)

    def correlated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = (v - (weights * v).sum(axis=1, keepdims=True) / np.maximum(total, 1) for v in (a, b))
        return _over((weights * a * b).sum(axis=1), (weights * a * a).sum(axis=1), (weights * b * b).sum(axis=1))

    products = [((weights @ (p * q)) * weights).sum(axis=1) for p, q in
                ((signs[0], signs[1]), (signs[0], signs[0]), (signs[1], signs[1]))]  # fmt: skip
    found = np.stack(
        [correlated(x, y), correlated(weights @ signs[0].T, weights @ signs[1].T), _over(*products)], axis=1
    )
    found[np.count_nonzero(weights, axis=1) < 3] = np.nan
    return found


def _over(product: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product over the root of a·b; NaN where either is 0 but for rounding."""
    import numpy as np

    scale = np.sqrt(np.maximum(a, 0)) * np.sqrt(np.maximum(b, 0))
    defined = scale > 1e-12 * max(scale.max(initial=0.0), 1e-300)
    return np.where(defined, product / np.where(defined, scale, 1.0), np.nan)


def correlate(scores: pd.DataFrame, measures: pd.DataFrame, draws: int = 2000, seed: int = 1) -> pd.DataFrame:
    """Compare every measure with the scores.

    Parameters
    ----------
    scores
        Columns ``item, condition, mean``.
    measures
        Columns ``item, condition`` and measures; ``kbps`` gives the baseline `BASELINE`.
    draws
        Bootstrap draws of the items.

    Returns
    -------
    DataFrame
        ``measure, conditions, n``; of each coefficient its value, ``_low`` and ``_high``; ``within_items``, the
        mean of Spearman's within items; ``rmse``, the error of scores predicted by a straight line;
        ``over_rate``, |Spearman| less that of the bit rate over the same pairs. `conditions` is ``all``,
        ``systems`` or a condition.
    """
    import numpy as np
    import pandas as pd

    if "kbps" in measures.columns:
        rates = measures["kbps"].where(measures["kbps"] > 0)
        measures = measures.assign(**{BASELINE: np.log2(rates)})
    joined = scores[["item", "condition", "mean"]].merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"].dropna(subset=["mean"])
    if len(joined) < 3:
        raise InputError(
            f"only {len(joined)} items and conditions have both scores and measures; do the names agree?"
        )
    names = [c for c in measures.columns if c not in OTHER and joined[c].notna().sum() >= 3]
    anchors = joined["condition"].isin(("la", "ma"))
    parts = {"all": joined, **({"systems": joined[~anchors]} if anchors.any() else {})}
    parts |= dict(iter(joined.groupby("condition", sort=False)))
    found = []
    for name in names:
        for kind, part in parts.items():
            pairs = part.dropna(subset=[name])
            if len(pairs) >= 3:
                found.append({"measure": name, "conditions": kind, **_compared(pairs, name, draws, seed)})
    return pd.DataFrame(found)


def _compared(pairs: pd.DataFrame, name: str, draws: int, seed: int) -> dict[str, float]:
    import numpy as np

    x, y = (np.array(pairs[column].tolist(), np.float64) for column in (name, "mean"))
    items, of_item = np.unique(pairs["item"].tolist(), return_inverse=True)
    weights = np.ones((1, len(x)))
    if len(items) > 2:
        rng = np.random.Generator(np.random.Philox(seed))
        drawn = rng.multinomial(len(items), np.full(len(items), 1 / len(items)), size=draws)
        weights = np.concatenate([weights, drawn[:, of_item]])
    values = coefficients(x, y, weights)
    row: dict[str, float] = {"n": len(x)}
    for index, coefficient in enumerate(COEFFICIENTS):
        low, high = _interval(values[1:, index])
        row |= {coefficient: values[0, index], f"{coefficient}_low": low, f"{coefficient}_high": high}
    within = [coefficients(x[own], y[own], np.ones((1, int(own.sum()))))[0, 1]
              for own in (of_item == item for item in range(len(items)))]  # fmt: skip
    defined = [value for value in within if not np.isnan(value)]
    row["within_items"] = float(np.mean(defined)) if defined else np.nan
    row["rmse"] = float(np.sqrt(max(1 - values[0, 0] ** 2, 0) * np.var(y)))
    row |= {"over_rate": np.nan, "over_rate_low": np.nan, "over_rate_high": np.nan}
    if BASELINE in pairs and name not in (BASELINE, "kbps"):
        rated = np.array(pairs[BASELINE].notna().tolist())
        if rated.sum() >= 3:
            rate = np.array(pairs[BASELINE].tolist(), np.float64)[rated]
            both = [coefficients(of, y[rated], weights[:, rated])[:, 1] for of in (x[rated], rate)]
            lead = np.abs(both[0]) - np.abs(both[1])
            low, high = _interval(lead[1:])
            row |= {"over_rate": lead[0], "over_rate_low": low, "over_rate_high": high}
    return row


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    import numpy as np

    kept = drawn[~np.isnan(drawn)]
    low, high = np.quantile(kept, [0.025, 0.975]) if kept.size else (np.nan, np.nan)
    return float(low), float(high)


def print_table(table: pd.DataFrame) -> None:
    """Print the pooled comparisons, the best first."""
    pooled = table[table["conditions"].isin(("all", "systems"))]
    order = pooled.assign(size=pooled["spearman"].abs()).sort_values(
        ["conditions", "size"], ascending=[True, False]
    )
    print(f"{'measure':<17}{'conditions':<11}{'n':>4}" + "".join(f"{name:>22}" for name in COEFFICIENTS)
          + f"{'within':>8}{'rmse':>7}{'over bit rate':>21}")  # fmt: skip
    for row in order.itertuples():
        cells = [_with_interval(row, name) for name in (*COEFFICIENTS, "over_rate")]
        print(f"{row.measure:<17}{row.conditions:<11}{row.n:>4}" + "".join(f"{cell:>22}" for cell in cells[:3])
              + f"{_plain(row.within_items):>8}{_plain(row.rmse, 1):>7}{cells[3]:>21}")  # fmt: skip


def _plain(value: Any, digits: int = 2) -> str:
    return "-" if value != value else f"{value:.{digits}f}"


def _with_interval(row, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return _plain(value) + (f" [{low:.2f}, {high:.2f}]" if low == low else "")


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.correlate")
    command.add_argument("results", nargs="+", type=Path, metavar="RATINGS", help="rating file(s) of one test")
    command.add_argument("measures", type=Path, metavar="OBJECTIVE.csv")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--screening", choices=("bs1534-3", "mpeg-strict", "none"), default="bs1534-3")
    command.add_argument("--draws", type=int, default=2000, metavar="N", help="bootstrap draws (default: 2000)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write correlations.csv and scatter.png, .pdf"
    )
    command.add_argument("--force", action="store_true", help="replace files that differ")
    arguments = command.parse_args()
    if not 1 <= arguments.draws <= 100_000 or arguments.seed < 0:
        raise InputError("--draws must be from 1 to 100000 and --seed not negative")

    from analysis.ratings import is_simulated, read, read_key
    from analysis.results import analyse
    from render.artefact import whole_file

    measures = read_measures(arguments.measures)
    ratings = read(arguments.results, read_key(arguments.key) if arguments.key else None)
    results = analyse(ratings, screening=arguments.screening)
    table = correlate(results.per_item, measures, arguments.draws, arguments.seed)
    if is_simulated(ratings):
        print("SIMULATED RATINGS: no listener heard anything; these coefficients are evidence of nothing\n")
    print(f"{results.design}. {results.screened}.\n")
    print_table(table)
    if arguments.output:
        from analysis.scatter import draw

        with whole_file(arguments.output / "correlations.csv", force=arguments.force) as temporary:
            table.assign(simulated=is_simulated(ratings)).to_csv(temporary, index=False, lineterminator="\n")
        draw(results.per_item, measures, table, is_simulated(ratings), arguments.output, arguments.force)
        print(f"\nwrote {arguments.output / 'correlations.csv'}, scatter.png and scatter.pdf")


if __name__ == "__main__":
    run(main)
