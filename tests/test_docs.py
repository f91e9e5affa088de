"""The documentation: every link leads somewhere, every page is reached from the index, every command exists."""

import importlib
import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINKED = [ROOT / "README.md", ROOT / "codec/pretrained/README.md", *PAGES]
INDEX = (ROOT / "docs/index.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^(?:python|torchrun .*) -m ((?:analysis|codec|listening|render|stimuli)\..*)", re.MULTILINE)


def text_of(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """Anchors of the headings, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match("https?:", target):
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        is_page_of_site = file.resolve().parent == ROOT / "docs"
        assert page.parent.name != "docs" or file.suffix != ".md" or is_page_of_site, (
            f"{target}: no page of the site"
        )
        assert not heading or heading in anchors(file), target


def test_every_page_stands_in_the_table_and_in_the_navigation_of_the_index():
    names = {page.stem for page in PAGES} - {"index"}
    table, navigation = INDEX.split("```{toctree}", 1)
    assert {target.removesuffix(".md") for target in re.findall(r"\]\(([^)]+)\)", table)} == names
    listed = re.findall(r"^([\w-]+)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(names)


@cache
def help_of(module):
    """What ``python -m module --help`` prints."""
    text = io.StringIO()
    main = importlib.import_module(module).main
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(text):
        patch.setattr(sys, "argv", [module, "--help"])
        with pytest.raises(SystemExit):
            main()
    return text.getvalue()


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_has_these_options(page):
    for line in COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", " ")):
        module, *words = shlex.split(line, comments=True)
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), line
        known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_of(module)))
        assert {word for word in words if re.match("--?[a-z]", word)} <= known, line


def test_the_list_of_commands_has_each_of_them():
    modules = {
        f"{package}.{path.stem}"
        for package in ("analysis", "codec", "listening", "render", "stimuli")
        for path in (ROOT / package).glob("[a-z]*.py")
    }
    listed = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert {shlex.split(line, comments=True)[0] for line in COMMAND.findall(listed)} | {"codec.figure1"} == modules


def test_every_target_of_make_that_the_readme_names_is_one_and_help_names_it():
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", rules, re.MULTILINE)[1].split())
    named = set(re.findall(r"(?:^|`)make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets
    explained = " ".join(re.findall(r"^\t@?echo '(make .*)'$", rules, re.MULTILINE))
    assert not [target for target in named if not re.search(rf"\b{target}\b", explained)]
