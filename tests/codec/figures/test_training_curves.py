"""The numbers of Figure 1 by closed forms."""

import numpy as np
import pytest

from codec.figures.training_curves import change_over_last_fifth, mean_curve, read_curve, summarise


def metrics(folder, steps, mel):
    folder.mkdir(parents=True)
    rows = [
        f"{step},{value},{99 - value}" if value else f"{step},,5" for step, value in zip(steps, mel, strict=True)
    ]
    (folder / "metrics.csv").write_text("\n".join(["step,val_mel,mel", *rows]) + "\n")


def test_settled_and_interpolated(tmp_path):
    metrics(tmp_path / "a", [10, 70, 90, 100], [9.0, 2.03, 2.01, 2.0])
    metrics(tmp_path / "b", [10, 70, 100, 130], [8.0, 2.0, 1.0, 0.5])
    random, transfer = (
        read_curve(tmp_path / "a/metrics.csv", "random", 1),
        read_curve(tmp_path / "b/metrics.csv", "transfer", 1),
    )
    assert change_over_last_fifth(random) == pytest.approx(100 * (2.02 - 2.0) / 2.02)  # 80 lies between 70 and 90
    summary = summarise([random, transfer])
    assert summary["settled"]
    assert summary["transfer_needs_steps"] == 70
    both = mean_curve([random, transfer])
    assert both.steps.tolist() == [10, 70, 100]
    assert both.mel.tolist() == pytest.approx([8.5, 2.015, 1.5])
    metrics(tmp_path / "c", [6], [3.0])
    assert np.isnan(change_over_last_fifth(read_curve(tmp_path / "c/metrics.csv", "random", 1)))
