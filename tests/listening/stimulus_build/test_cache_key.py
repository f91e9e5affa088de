"""Keys of built files: which edits of the code make which files again."""

import shutil

import pytest

from listening.conditions.registry import condition
from listening.stimulus_build.cache_key import contact_sheet_key, quality_key, stimulus_key
from render.common import code_digest

CONDITIONS = ("href", "la", "order_1", "cov_noise", "opus3_160", "pca_opus_16", "prop")
AUDIO = set(CONDITIONS)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the source code, to be edited."""
    root = tmp_path_factory.mktemp("code")
    for package in code_digest.PACKAGES:
        shutil.copytree(
            code_digest.ROOT / package, root / package,
            ignore=lambda folder, names: {n for n in names if "." in n and not n.endswith(".py")},
        )  # fmt: skip
    return root


def keys():
    return {
        **{name: stimulus_key(condition(name), {"sha256": "0"}) for name in CONDITIONS},
        "quality": quality_key(),
        "contact sheet": contact_sheet_key({}, {}),
    }


@pytest.mark.parametrize(
    ("edited", "remade"),
    [
        ("analysis/reporting/html.py", set()),
        ("analysis/reporting/scene_pages.py", {"contact sheet"}),
        ("codec/training", set()),
        ("listening/packaging", set()),
        ("listening/model_card", set()),
        ("listening/build.py", set()),
        ("listening/conditions/registry.py", set()),
        ("listening/stimulus_build/item_builder.py", set()),
        ("listening/stimulus_build/quality_gate.py", {"quality", "contact sheet"}),
        ("listening/stimulus_build/contact_sheet.py", {"contact sheet"}),
        ("codec/rvqgan", {"prop"}),
        ("codec/bitstream", {"prop"}),
        ("listening/conditions/external.py", set()),
        ("listening/conditions/covariance_noise.py", {"cov_noise"}),
        ("listening/conditions/order_truncation.py", {"order_1"}),
        ("listening/conditions/opus.py", {"opus3_160"}),
        ("listening/opus_codec/libopus.py", {"opus3_160", "pca_opus_16"}),
        (
            "listening/conditions/anchors.py",
            {"la", "quality", "contact sheet"},
        ),  # the gate takes the mask's transition from it
        ("listening/conditions/foreground.py", AUDIO),
        ("listening/stimulus_build/renditions.py", AUDIO),
        ("stimuli/excerpts/window.py", AUDIO),
        ("render/fileio/audio_file.py", AUDIO | {"quality", "contact sheet"}),
        ("render/hoa/scene.py", AUDIO | {"quality", "contact sheet"}),
    ],
)
def test_an_edit_remakes_what_depends_on_it_and_nothing_else(copy, monkeypatch, edited, remade):
    monkeypatch.setattr(code_digest, "ROOT", copy)
    before = keys()
    files = [copy / edited] if edited.endswith(".py") else sorted((copy / edited).glob("*.py"))
    assert files
    contents = {path: path.read_text(encoding="utf-8") for path in files}
    for path, content in contents.items():
        path.write_text(content + "# edited\n", encoding="utf-8")
    after = keys()
    for path, content in contents.items():
        path.write_text(content, encoding="utf-8")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == remade
    assert keys() == before


def test_a_stimulus_depends_on_its_condition_its_parameters_and_its_source():
    found = {
        stimulus_key(condition(name), {"sha256": source})
        for name in ("href", "la", "ma", "order_1", "opus3_160", "opus3_161")
        for source in ("0", "1")
    }
    assert len(found) == 12


def test_a_contact_sheet_depends_on_its_stimuli_and_captions():
    found = {contact_sheet_key({"la": digest}, {"la": caption}) for digest in "01" for caption in "xy"}
    assert len(found) == 4
