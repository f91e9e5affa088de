"""Texts of the page: the same keys in every language, and a user's own files."""

import tomllib

import pytest

from listening.sessions.texts import TEXTS, language_names, load_texts
from render.common.errors import InputError


def english():
    return tomllib.loads((TEXTS / "en.toml").read_text(encoding="utf-8"))


def test_every_shipped_language_has_the_keys_of_english():
    texts = load_texts()
    assert next(iter(texts)) == "en"
    assert set(texts) == {path.stem for path in TEXTS.glob("*.toml")}
    for held in texts.values():
        assert set(held) == set(english())
    assert language_names(texts)["en"] == "English"


def test_a_file_of_ones_own_replaces_what_it_holds(tmp_path):
    path = tmp_path / "en.toml"
    path.write_text('welcome_title = "Hello in our lab & <b>welcome</b>"')
    texts = load_texts(["en"], [str(path)])
    assert texts == {"en": english() | {"welcome_title": "Hello in our lab & <b>welcome</b>"}}


def test_a_new_language_holds_all_texts(tmp_path):
    path = tmp_path / "sv.toml"
    path.write_text("\n".join(f'{key} = "{key}!"' for key in english()))
    texts = load_texts(["sv", "en"], [str(path)])
    assert list(texts) == ["sv", "en"]
    assert (texts["sv"]["next"], language_names(texts)) == ("next!", {"sv": "language!", "en": "English"})
    path.write_text('next = "Vidare"')
    with pytest.raises(InputError, match="the language sv lack"):
        load_texts((), [str(path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('welcom_title = "x"', r"no such text: 'welcom_title'; did you mean welcome_title\?"),
        ("welcome_title = 3", "welcome_title is no text"),
        ('welcome_title = ""', "welcome_title is no text"),
        ("[welcome]\ntitle = 'x'", "welcome is no text"),
        ("welcome_title", r"en\.toml"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, message):
    path = tmp_path / "en.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_texts((), [str(path)])


def test_unknown_languages_and_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="languages: 'xx' has no texts"):
        load_texts(["xx"])
    with pytest.raises(InputError, match="no such file of texts"):
        load_texts((), [str(tmp_path / "fi.toml")])
