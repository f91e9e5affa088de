"""The best measures have panels, the others a line each: by value."""

import numpy as np
import pandas as pd
import pytest

from analysis.reporting.scatter_figure import MAX_PANELS, scatter
from analysis.study.correlation import correlate
from render.common.figure_style import Look, figure_style

NAMES = ["mel_eval", "doa_deg", "m2", "m3", "m4", "m5", "m6", "m7"]


@pytest.fixture(scope="module")
def tables():
    """Eight measures, the later the noisier, of 5 items x 4 conditions."""
    rng = np.random.default_rng(0)
    cells = [(f"i{i}", c) for i in range(5) for c in ("la", "opus3_160", "prop", "href")]
    scores = pd.DataFrame(cells, columns=["item", "condition"]).assign(mean=rng.uniform(5, 95, len(cells)))
    noisy = {name: -scores["mean"] + rng.normal(0, 1 + 12 * n, len(cells)) for n, name in enumerate(NAMES)}
    measures = scores[["item", "condition"]].assign(**noisy)
    return scores, measures, correlate(scores, measures, 2, 1)


@pytest.mark.parametrize("width_in", [None, 89 / 25.4])
def test_panels_show_the_best_and_the_rest_is_listed(tables, width_in):
    scores, measures, table = tables
    size = {n: abs(scores["mean"][kept].corr(measures[n][kept], method="spearman")) for n in NAMES
            for kept in [scores["condition"] != "href"]}  # fmt: skip
    ranked = sorted(NAMES, key=size.__getitem__, reverse=True)
    look = Look(width_in)
    with figure_style(10, look):
        figure = scatter(scores, measures, table, True, look, {"prop": "Ours"})
    shown = [axes.get_xlabel().split()[0] for axes in figure.axes]
    assert shown == ranked[:MAX_PANELS]
    assert {"mel_eval", "doa_deg (deg)"} <= {axes.get_xlabel() for axes in figure.axes}
    listed = [text.get_text() for text in figure.texts if text.get_text() in NAMES]
    assert listed == ranked[MAX_PANELS:]
    assert figure.axes[0].get_title().startswith(f"ρ = −{size[ranked[0]]:.2f}, r = ")
    ours = next(line for line in figure.axes[0].lines if line.get_label() == "Ours")
    of_prop = scores["condition"] == "prop"
    assert list(ours.get_xdata()) == list(measures[ranked[0]][of_prop])
    assert list(ours.get_ydata()) == list(scores["mean"][of_prop])
    assert all(any("SIMULATED" in text.get_text() for text in axes.texts) for axes in figure.axes)
    assert width_in is None or figure.get_figwidth() == width_in


def test_without_a_caption_nothing_is_listed(tables):
    figure = scatter(*tables, False, Look(caption=False))
    assert not any(text.get_text() for text in figure.texts)
    assert "6 measures with the largest |ρ| of 8" in figure.get_label()
