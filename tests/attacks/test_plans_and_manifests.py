"""Hostile plans, manifests and keys: one clear error each, and nothing read or written outside their folder."""

import copy
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.metrics.built_test import read_built_test
from analysis.ratings.table import read_key
from listening import export
from listening.test_design.test_plan import load_plan, plan_of
from render.common.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_manifest(build):
    """Plan and items, as the export reads them."""
    test = read_built_test(build)
    return plan_of(test), test.items


def valid_manifest():
    return {
        "plan": {
            "conditions": ["href", "la"],
            "seconds": 1.0,
            "target_lufs": -26,
            "headroom_dbtp": -1,
            "holdout": 8,
        },
        "items": {
            "Beach": {
                "material": "recording",
                "conditions": {
                    name: {"file": f"scenes/Beach/{name}.w64", "sha256": "0" * 64} for name in ("href", "la")
                },
            }
        },
    }


def build_with(folder, manifest):
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "seconds = 1e999", "seconds = nan", "seconds = -1", "seconds = 0.5", "seconds = true", 'seconds = "10"',
        "seconds = 1979-05-27", "seconds = [1]", f"holdout = {'9' * 5000}", "holdout = 8.0", "holdout = 0",
        'holdout = "8"', "target_lufs = 0", "target_lufs = nan", "headroom_dbtp = 3", 'conditions = "href"',
        "conditions = []", 'conditions = ["la"]', 'conditions = ["href", 1]', 'conditions = ["href", ["la"]]',
        'conditions = ["href", "href"]', 'conditions = ["href", "../la"]', 'conditions = ["href", "la\\n"]',
        f"conditions = {['href', *(f'order_{n}' for n in range(12))]}", "conditions = {href = 1}", "x = 1",
        "[plan]\nseconds = 1", "seconds = ", "\x00", "x = " + "[" * 5000, 'seconds = 1\nseconds = 2',
    ],
)  # fmt: skip
def test_a_hostile_plan_is_one_clear_error(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_plan(str(path))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_plan_that_is_no_text_is_one_clear_error(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"plan\.toml"):
        load_plan(str(tmp_path / "plan.toml"))


def test_the_manifest_that_the_attacks_start_from_is_valid(tmp_path):
    plan, items = read_manifest(build_with(tmp_path, valid_manifest()))
    assert plan.conditions == ("href", "la")
    assert list(items) == ["Beach"]


def changed(*path_and_value):
    """Return a manifest with one value replaced."""
    *path, last, value = path_and_value
    manifest = valid_manifest()
    at = manifest
    for step in path:
        at = at[step]
    at[last] = value
    return manifest


LA = ("items", "Beach", "conditions", "la")


@pytest.mark.parametrize(
    "manifest",
    [
        changed(*LA, "file", "../../secret.w64"),
        changed(*LA, "file", "/etc/passwd"),
        changed(*LA, "file", "scenes/Beach/href.w64"),
        changed(*LA, "file", 5),
        changed(*LA, "sha256", None),
        changed(*LA, "sha256", "00"),
        changed(*LA, None),
        changed(*LA[:-1], "../la", {"file": "scenes/Beach/../la.w64", "sha256": "0" * 64}),
        changed("items", "../../x", valid_manifest()["items"]["Beach"]),
        changed("items", "/tmp/x", valid_manifest()["items"]["Beach"]),  # noqa: S108
        changed("items", "a\nb", valid_manifest()["items"]["Beach"]),
        changed("items", {}),
        changed("items", []),
        changed("items", "Beach", []),
        changed("items", "Beach", "material", 3),
        changed("plan", "target_lufs", "loud"),
        changed("plan", "target_lufs", float("nan")),
        changed("plan", "conditions", ["la"]),
        changed("plan", "conditions", ["href", "la", "prop"]),
        changed("plan", {}),
        changed("plan", None),
        {}, [], None, 1, "x", '{"items": ' + "[" * 100_000, '{"plan": ' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_a_hostile_manifest_is_one_clear_error(tmp_path, manifest):
    with pytest.raises(InputError, match=r"manifest\.json"):
        read_manifest(build_with(tmp_path, manifest))


@FUZZ
@given(JSON, st.sampled_from([(), ("plan",), ("items",), ("items", "Beach"), LA[:-1], LA, (*LA, "file")]))
def test_any_json_in_any_place_is_valid_or_one_clear_error(tmp_path, value, place):
    manifest = copy.deepcopy(value) if not place else changed(*place, value)
    try:
        _, items = read_manifest(build_with(tmp_path, json.dumps(manifest)))
    except InputError:
        return
    assert items == valid_manifest()["items"] or place == ("plan",)


def test_an_export_of_a_hostile_manifest_touches_nothing_outside(tmp_path, monkeypatch):
    (tmp_path / "secret.w64").write_bytes(b"secret")
    for manifest in (
        changed(*LA, "file", "../secret.w64"),
        changed("items", "../../x", valid_manifest()["items"]["Beach"]),
    ):
        build = build_with(tmp_path / "out", manifest)
        monkeypatch.setattr(sys, "argv", ["export", "--build", str(build)])
        with pytest.raises(InputError):
            export.main()
        assert sorted(p.name for p in tmp_path.rglob("*")) == ["manifest.json", "out", "secret.w64"]


@pytest.mark.parametrize(
    "key",
    [
        "", "[]", "null", "{}", '{"items": []}', '{"items": {}}', '{"items": {"Beach": 1}}', "[" * 100_000,
        '{"items": {"Beach": {"aa": 1}}}', '{"items": {"Beach": {"aa": ""}}}', "9" * 5000,
        '{"items": {"Beach": {"aa": "la", "bb": "la"}}}', '{"items": {"Beach": {"aa": ["la"]}}}',
    ],
)  # fmt: skip
def test_a_hostile_key_is_one_clear_error(tmp_path, key):
    path = tmp_path / "key.json"
    path.write_text(key)
    with pytest.raises(InputError, match=r"key\.json"):
        read_key(path)


@FUZZ
@given(JSON)
def test_any_json_as_a_key_is_valid_or_one_clear_error(tmp_path, value):
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"items": {"Beach": value}}))
    try:
        key = read_key(path)
    except InputError:
        return
    assert all(isinstance(c, str) for c in key["Beach"].values())
