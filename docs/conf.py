"""Sphinx: ``make docs`` builds the site from these pages; a link that leads nowhere ends it."""

project = "hoa-rvqgan"
author = "The hoa-rvqgan authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "hoa-rvqgan"
html_show_copyright = False
source_suffix = {".md": "markdown"}
