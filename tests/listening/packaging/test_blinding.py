"""Blind names: secret, stable, and the same after any spreadsheet."""

import json
import re

import pytest

from analysis.ratings.portable_names import is_portable
from listening.packaging.blinding import blind_names, read_blind_test
from render.common.errors import InputError


def test_blind_names_come_back_unchanged_from_spreadsheets_and_casts():
    names = [name for n in range(2000) for name in blind_names(bytes([n % 256, n // 256]), "Park", ["href", "la"])]
    assert all(re.fullmatch(r"[a-f][0-9a-f]{7}", name) for name in names)
    assert all(map(is_portable, names))
    for name in names:
        for cast in (float, int, json.loads):
            with pytest.raises(ValueError, match=r"convert|invalid|Expecting"):
                cast(name)
    assert not [name for name in names if re.match("(dec|feb)[0-9]", name)]
    assert len(set(names)) == len(names)
    # What is left has as many different beginnings as before: nothing but the first digit is fixed
    assert len({name[:2] for name in names}) == 6 * 16


@pytest.mark.parametrize("item", ["1e5", "007", "nan", "MAR1", "TRUE"])
def test_a_build_whose_items_look_like_numbers_is_not_exported(tmp_path, item):
    stimulus = {"file": f"scenes/{item}/href.w64", "sha256": "0" * 64}
    manifest = {"plan": {}, "items": {item: {"material": "", "conditions": {"href": stimulus}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=rf"item {item} for a number.*run listening\.build again"):
        read_blind_test(tmp_path)
