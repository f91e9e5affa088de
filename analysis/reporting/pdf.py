"""Print an HTML file as PDF with an installed Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from render.common.errors import InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 120


def browser() -> str | None:
    """Return the path of the first installed browser of `BROWSERS`; None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def print_pdf(html: Path, pdf: Path, program: str) -> None:
    """Print a page; the PDF contains the date, so its bytes differ from print to print.

    Parameters
    ----------
    html, pdf
        Source and destination.
    program
        Path of the browser.

    Raises
    ------
    InputError
        If the browser fails or does not finish within `TIMEOUT_S`.
    """
    with tempfile.TemporaryDirectory() as profile:
        call = [
            program, "--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}",
            "--no-pdf-header-footer", f"--print-to-pdf={pdf}", html.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            call.insert(1, "--no-sandbox")  # Chromium refuses to run as root otherwise
        try:
            # The program is one of BROWSERS from the PATH; the page contains no script and loads nothing.
            done = subprocess.run(call, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise InputError(f"{program}: no PDF within {TIMEOUT_S} s; print the HTML from a browser") from None
    if not pdf.is_file():
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{program}: wrote no PDF ({last[:200]}); print the HTML from a browser")
