"""Files of the pages: what is served, under which type, and what is not."""

from listening.server.static_files import static_files


def test_pages_scripts_and_styles_are_read_with_their_types_and_nothing_else(tmp_path):
    folder = tmp_path / "static"
    (folder / "pages").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("index.html", "app.js", "pages/trial.js", "style.css", ".secret.js", ".hidden/x.js", "notes.md",
                 "key.py"):  # fmt: skip
        (folder / name).write_text(name)
    (tmp_path / "outside.js").write_text("outside")
    (folder / "link.js").symlink_to(tmp_path / "outside.js")
    (folder / "linked").symlink_to(tmp_path)
    assert static_files(folder) == {
        "index.html": (b"index.html", "text/html; charset=utf-8"),
        "app.js": (b"app.js", "text/javascript; charset=utf-8"),
        "pages/trial.js": (b"pages/trial.js", "text/javascript; charset=utf-8"),
        "style.css": (b"style.css", "text/css; charset=utf-8"),
    }
