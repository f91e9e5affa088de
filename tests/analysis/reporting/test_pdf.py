"""Printing with a browser."""

import re

import pytest

from analysis.reporting.pdf import browser, print_pdf
from render.common.errors import InputError


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason="Chromium is not installed")
def test_a_browser_prints_pages(tmp_path):
    page = tmp_path / "a.html"
    page.write_text("<!doctype html><p style='break-after:page'>one<p>two")
    print_pdf(page, tmp_path / "a.pdf", browser())
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert re.search(rb"/Count 2\b", data)


def test_a_browser_that_fails_is_named(tmp_path):
    with pytest.raises(InputError, match="false: wrote no PDF"):
        print_pdf(tmp_path / "a.html", tmp_path / "a.pdf", "/bin/false")
