"""The curves of runs: what is read, what is drawn, by value; damaged tables are refused."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from codec.figures.run_curves import MAX_RUNS, draw_runs, last_values, panels_of, read_run, write_run_curves
from render.common.errors import InputError
from render.common.figure_style import Look

TABLE = """step,learning_rate,mel,gradient_norm,val_mel,val_direction_deg
10,0.001,3.0,100,,
20,0.002,2.5,10,1.5,9
30,0.001,2.0,1,1.25,8.5
40,0.001,2
"""


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "metrics.csv").write_text(TABLE)
    data = tmp_path / "data"
    data.mkdir()
    (data / "Beach.1.wav").write_bytes(b"")
    (data / "Beach.1.wav.json").write_text(json.dumps({"material": "synthetic scene"}))
    (folder / "env.json").write_text(json.dumps({"data": [str(data), str(tmp_path / "gone")]}))
    return folder


def test_columns_are_read_and_drawn_by_value(run):
    curves = read_run(run)
    steps, mel = curves.columns["val_mel"]
    assert (steps.tolist(), mel.tolist()) == ([20, 30], [1.5, 1.25])
    assert last_values(curves) == {"mel": 1.25, "direction_deg": 8.5}
    figure = draw_runs([curves], look=Look(width_in=3.5))
    assert figure.get_figwidth() == 3.5
    assert [axes.get_title() for axes in figure.axes] == [
        "mel", "direction (deg)", "learning rate", "gradient norm",
    ]  # fmt: skip
    training, validation = figure.axes[0].lines
    assert np.array_equal(training.get_xydata(), [[10, 3], [20, 2.5], [30, 2]])
    assert np.array_equal(validation.get_xydata(), [[20, 1.5], [30, 1.25]])
    assert figure.axes[3].get_yscale() == "log"
    assert figure.axes[0].get_yscale() == "linear"


def test_material_is_named(run):
    assert read_run(run).material == "1 x synthetic scene"
    assert "Training of mine, 30 steps on 1 x synthetic scene." in draw_runs([read_run(run)]).get_label()


def test_several_runs_share_panels_and_are_named(run, tmp_path):
    (tmp_path / "other.csv").write_text("step,mel,extra\n5,4.0,1\n")
    runs = [read_run(run), read_run(tmp_path / "other.csv")]
    assert panels_of(runs) == ["mel", "direction_deg", "learning_rate", "gradient_norm", "extra"]
    figure = draw_runs(runs, ["mel"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mine", "other"]
    (axes,) = figure.axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 2
    with pytest.raises(InputError, match="--show mell: no run has this column; did you mean mel"):
        panels_of(runs, ["mell"])


def test_the_figure_and_its_caption_are_written(run, tmp_path):
    write_run_curves([read_run(run)], tmp_path / "c", ["mel"])
    assert {path.suffix for path in tmp_path.glob("c.*")} == {".pdf", ".png", ".svg", ".txt"}
    assert isinstance(draw_runs([read_run(run)] * MAX_RUNS, ["mel"]), Figure)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column step"),
        ("", "no column step"),
        ("step,mel\n", "no row yet"),
        ("step,mel\n1,x\n", r":2: mel is 'x' at step '1', no number"),
        ("step,mel\nx,1\n", r":2: mel is '1' at step 'x', no number"),
        ("step,mel\n1,2,3\n", ":2: more cells than columns"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_run(tmp_path / "none")
