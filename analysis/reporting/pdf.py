"""Print an HTML file as PDF with the Chromium that is installed, if one is."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from render.common.errors import InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIMIT_S = 120


def browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def print_pdf(html: Path, pdf: Path, program: str) -> None:
    """Print `html` to `pdf`; the bytes hold the date and differ from print to print.

    Raises
    ------
    InputError
        The browser fails or does not end within `LIMIT_S`.
    """
    with tempfile.TemporaryDirectory() as profile:
        call = [
            program, "--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}",
            "--no-pdf-header-footer", f"--print-to-pdf={pdf}", html.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            call.insert(1, "--no-sandbox")  # Chromium refuses to run as root otherwise
        try:
            # The program is one of BROWSERS as found on the PATH; the page holds no script and loads nothing.
            done = subprocess.run(call, capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise InputError(f"{program}: no PDF within {LIMIT_S} s; print the HTML from a browser") from None
    if not pdf.is_file():
        last = (done.stderr.strip().splitlines() or ["no word about why"])[-1]
        raise InputError(f"{program}: wrote no PDF ({last[:200]}); print the HTML from a browser")
