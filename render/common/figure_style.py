"""The style of all figures, and figures as files: the same data give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from render.common.errors import InputError
from render.common.files import whole_file

STYLE = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType, which journals accept and editors can edit
    "svg.fonttype": "path",
    "svg.hashsalt": "hoa-rvqgan",
}
# Without dates and program versions, a figure's bytes depend on its data only
METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


@contextmanager
def figure_style(font_size: float, **settings: object) -> Iterator[None]:
    """Draw in the project's style; `font_size` is in points, `settings` are further matplotlib settings."""
    with mpl.rc_context(STYLE | {"font.size": font_size} | settings):
        yield


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
        figure.savefig(temporary, format=file_format, metadata=metadata)
