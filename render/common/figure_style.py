"""The look of all figures, and figures as files: the same data give the same bytes.

Matplotlib is loaded when something is drawn, so that every command can take its options from here.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.common.errors import InputError, did_you_mean
from render.common.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType, which journals accept and editors can edit
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "hoa-rvqgan",
    "text.parse_math": False,  # a $ in the name of an item or a condition is a dollar
}
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
"""Colours of Okabe and Ito (2008), which colour-blind readers can tell apart."""
PNG_OPTIONS = {"compress_level": 3}
"""Spectrograms take half of the time of Pillow's usual level 6, in files that are hardly larger."""
# Without dates and program versions, a figure's bytes depend on its data only
METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
COLUMN_FONT_SIZE = 8.0
"""Font size in points of a figure whose width is given; journals ask for 7 to 9 where it is printed."""

NARROWEST_MM, WIDEST_MM = 40.0, 500.0
_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72}


@dataclass(frozen=True)
class Look:
    """How a figure looks, whatever it shows.

    Attributes
    ----------
    width_in
        Width of the whole figure, in inches; None: what its content needs.
    font
        Font family; empty: that of `STYLE` or `style`.
    size
        Font size in points; None: that of `style`, else `COLUMN_FONT_SIZE` if a width is given, else the figure's.
    caption
        Whether the caption stands in the figure. It is written beside it as text in any case.
    style
        Name or file of a matplotlib style that is laid over `STYLE`; empty: none.
    """

    width_in: float | None = None
    font: str = ""
    size: float | None = None
    caption: bool = True
    style: str = ""


DEFAULT_LOOK = Look()


def add_look_options(command: argparse.ArgumentParser, caption: bool = True) -> None:
    """Add the options from which `chosen_look` makes a `Look`; `caption`: whether the figures have one."""
    group = command.add_argument_group("look of the figures")
    group.add_argument("--width", type=_width_in, metavar="LENGTH",
                       help="width of a figure, such as 89mm, 18.3cm or 3.5in (default: what its content "
                       "needs)")  # fmt: skip
    group.add_argument("--font", type=_font, default=("", None), metavar="FONT",
                       help=f"family and size in points, such as 'Times New Roman 9' (default: DejaVu Sans; "
                       f"{COLUMN_FONT_SIZE:g} points with --width)")  # fmt: skip
    if caption:
        group.add_argument("--no-caption", action="store_true", help="write the caption into the text file only")
    else:
        group.set_defaults(no_caption=True)
    group.add_argument("--style", default="", metavar="STYLE", help="matplotlib style, by name or file")


def chosen_look(arguments: argparse.Namespace) -> Look:
    """Return the look that the options of `add_look_options` choose."""
    font, size = arguments.font
    return Look(arguments.width, font, size, not arguments.no_caption, arguments.style)


def _width_in(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?)(mm|cm|in|pt)", text.replace(" ", ""))
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no length such as 89mm, 18.3cm or 3.5in")
    mm = float(match[1]) * _MM[match[2]]
    if not NARROWEST_MM <= mm <= WIDEST_MM:
        raise argparse.ArgumentTypeError(f"{text} is not from {NARROWEST_MM:g} to {WIDEST_MM:g} mm")
    return mm / 25.4


def _font(text: str) -> tuple[str, float | None]:
    match = re.fullmatch(r"(.*?)\s*([0-9]+(?:\.[0-9]+)?)?(?:\s*pt)?", text.strip())
    family, size = (match[1], match[2]) if match else (text, None)
    if size and not 4 <= float(size) <= 24:
        raise argparse.ArgumentTypeError(f"{size} points are not from 4 to 24")
    return family, float(size) if size else None


@contextmanager
def figure_style(font_size: float, look: Look = DEFAULT_LOOK, **settings: object) -> Iterator[None]:
    """Draw in the project's style and a chosen look.

    Parameters
    ----------
    font_size
        Font size in points, where `look` has none.
    look
        What is chosen otherwise.
    **settings
        Further matplotlib settings.

    Raises
    ------
    InputError
        If the look's font or style is not there.
    """
    import matplotlib as mpl

    size = COLUMN_FONT_SIZE if look.width_in else font_size
    with mpl.rc_context(STYLE | {"font.size": size} | settings):
        if look.style:
            _use_style(look.style)
        if look.font:
            mpl.rcParams["font.family"] = _installed(look.font)
        if look.size:
            mpl.rcParams["font.size"] = look.size
        yield


def _use_style(style: str) -> None:
    import matplotlib as mpl
    from matplotlib import style as styles

    try:
        styles.use(style)
    except OSError:
        known = did_you_mean(style, styles.available)
        raise InputError(f"--style {style}: neither a file nor a style of matplotlib{known}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"--style {style}: not a style of matplotlib: {error}") from None
    if mpl.rcParams["text.usetex"]:
        raise InputError(f"--style {style}: sets text by LaTeX (text.usetex), which would read names as commands; "
                         "leave that out and choose the font of the paper")  # fmt: skip
    mpl.rcParams["text.parse_math"] = False


def _installed(family: str) -> str:
    from matplotlib import font_manager

    try:
        font_manager.findfont(family, fallback_to_default=False)
    except ValueError:
        known = did_you_mean(family, sorted(set(font_manager.get_font_names())))
        raise InputError(f"--font {family}: this font is not installed{known}") from None
    return family


def write_figure(figure: Figure, path: Path, title: str = "", force: bool = False) -> None:
    """Write a figure in the format that the suffix names (.pdf, .svg or .png), whole or not at all.

    Raises
    ------
    InputError
        If the suffix is another one, or a file with other content is there already and not `force`.
    """
    file_format = path.suffix[1:].lower()
    if file_format not in METADATA:
        raise InputError(f"{path}: figures are written as .pdf, .svg or .png")
    with whole_file(path, force=force) as temporary:
        metadata = METADATA[file_format] | ({"Title": title} if title else {})
        png: dict[str, Any] = {"pil_kwargs": PNG_OPTIONS} if file_format == "png" else {}
        figure.savefig(temporary, format=file_format, metadata=metadata, **png)


def write_captioned_figure(
    figure: Figure, path: Path, formats: Sequence[str], title: str = "", force: bool = False
) -> None:
    """Write ``path.format`` in every format, and the figure's label, which is its caption, as ``path.txt``.

    Raises
    ------
    InputError
        As `write_figure`.
    """
    for suffix in formats:
        write_figure(figure, path.with_name(f"{path.name}.{suffix}"), title, force)
    with whole_file(path.with_name(f"{path.name}.txt"), force=force) as temporary:
        temporary.write_text(f"{figure.get_label()}\n", encoding="utf-8")
