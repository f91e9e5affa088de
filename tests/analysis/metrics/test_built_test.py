"""The manifest of a built test: what is read from it, and what is refused."""

import pytest

from analysis.metrics.built_test import read_built_test
from render.common.errors import InputError
from render.common.files import write_json


def stimulus(item, condition):
    return {"file": f"scenes/{item}/{condition}.w64", "sha256": "0" * 64}


def manifest(item="a", conditions=("href", "la")):
    made = {condition: stimulus(item, condition) for condition in conditions}
    return {"plan": {"conditions": list(conditions)}, "items": {item: {"material": "x", "conditions": made}}}


def test_a_manifest_is_read(tmp_path):
    write_json(tmp_path / "manifest.json", manifest())
    test = read_built_test(tmp_path)
    assert test.plan == {"conditions": ["href", "la"]}
    assert test.items == manifest()["items"]
    assert test.scene("a", "la") == tmp_path / "scenes/a/la.w64"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"plan": {}, "items": {}}, "holds no items"),
        ({"plan": 1}, "not a manifest"),
        ({"items": manifest()["items"]}, "not a manifest"),
        (manifest(conditions=("la",)), "item a has no condition href"),
        (manifest("../x"), "'../x' is not the name of an item"),
        (manifest(conditions=("href", "../../x")), "'../../x' is not the name of an item"),
        ({"plan": {}, "items": {"a": manifest("b")["items"]["b"]}}, "not scenes/a/href.w64"),
        ({"plan": {}, "items": ["a"]}, "not a manifest"),
        ([], "not a manifest"),
    ],
)
def test_manifests_are_checked(tmp_path, content, message):
    write_json(tmp_path / "manifest.json", content)
    with pytest.raises(InputError, match=message):
        read_built_test(tmp_path)


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(InputError, match=r"no such file; run listening\.build first"):
        read_built_test(tmp_path)
