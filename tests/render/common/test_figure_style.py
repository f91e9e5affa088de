"""The look of figures: options, fonts in the files, captions beside them."""

import argparse

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from render.common.errors import InputError
from render.common.figure_style import (
    COLUMN_FONT_SIZE,
    Look,
    add_look_options,
    chosen_look,
    figure_style,
    write_captioned_figure,
    write_figure,
)


def look(*words):
    command = argparse.ArgumentParser()
    add_look_options(command)
    return chosen_look(command.parse_args(words))


@pytest.mark.parametrize(
    ("text", "inches"), [("89mm", 89 / 25.4), ("8.9 cm", 89 / 25.4), ("3.5in", 3.5), ("252pt", 3.5)]
)
def test_widths(text, inches):
    assert look("--width", text).width_in == pytest.approx(inches)


@pytest.mark.parametrize("text", ["89", "mm", "-89mm", "10mm", "nanmm", "1e9mm", "9in9"])
def test_bad_widths_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        look(f"--width={text}")
    assert "--width" in capsys.readouterr().err


def test_the_rest_of_the_look():
    assert look() == Look()
    assert look("--font", "Times New Roman 9", "--no-caption") == Look(None, "Times New Roman", 9.0, False)
    assert look("--font", "DejaVu Serif") == Look(font="DejaVu Serif")
    assert look("--font", "7.5pt") == Look(size=7.5)


def test_font_and_size_are_used(tmp_path):
    (tmp_path / "mine.mplstyle").write_text("font.size: 5\naxes.spines.top: True\n")
    style = str(tmp_path / "mine.mplstyle")
    for chosen, family, size in (
        (Look(), "DejaVu Sans", 10), (Look(width_in=3), "DejaVu Sans", COLUMN_FONT_SIZE),
        (Look(font="DejaVu Serif", size=6.5), "DejaVu Serif", 6.5), (Look(3, style=style), "DejaVu Sans", 5),
        (Look(3, size=7, style=style), "DejaVu Sans", 7),
    ):  # fmt: skip
        with figure_style(10, chosen):
            assert mpl.rcParams["font.family"] == [family]
            assert mpl.rcParams["font.size"] == size
            assert mpl.rcParams["axes.spines.top"] == bool(chosen.style)


def test_a_style_that_sets_text_by_latex_is_refused(tmp_path):
    (tmp_path / "tex.mplstyle").write_text("text.usetex: True\n")
    with (
        pytest.raises(InputError, match=r"text\.usetex"),
        figure_style(10, Look(style=str(tmp_path / "tex.mplstyle"))),
    ):
        pass


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Look(font="DejaVu Sanz"), "--font DejaVu Sanz: this font is not installed; did you mean DejaVu Sans"),
        (Look(style="ggplott"), "--style ggplott: neither a file nor a style of matplotlib; did you mean ggplot"),
        (Look(style="no/such.mplstyle"), "neither a file nor a style"),
    ],
)
def test_what_is_not_there_is_refused(chosen, message):
    with pytest.raises(InputError, match=message), figure_style(10, chosen):
        pass


def test_fonts_are_embedded_and_text_stays_text(tmp_path):
    """PDF: TrueType fonts (type 42: FontFile2), no Type 3; SVG: text elements; the caption beside them."""
    with figure_style(9):
        figure = Figure(figsize=(2, 2), label="What is shown.")
        figure.text(0.5, 0.5, "Grüße")
        write_captioned_figure(figure, tmp_path / "a.b", ("pdf", "svg", "png"))
    pdf = (tmp_path / "a.b.pdf").read_bytes()
    assert b"FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert ">Grüße</text>" in (tmp_path / "a.b.svg").read_text()
    assert (tmp_path / "a.b.txt").read_text() == "What is shown.\n"
    with pytest.raises(InputError, match=r"\.pdf, \.svg or \.png"):
        write_figure(figure, tmp_path / "a.jpg")
