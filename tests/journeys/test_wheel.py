"""The wheel in a folder of its own, used where somebody else has packages of the same names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words, cwd=ROOT, **environment):
    return subprocess.run(
        words, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with the unpacked wheel and its script ``bin/hoa``."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index")
    done = run(*pip, "-t", str(target), str(wheel))
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def decoys(tmp_path):
    """A user's folder with packages of their own that are named as ours."""
    for name in ("analysis", "render"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the decoy was imported')\n")
    return tmp_path


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel(installed):
    tracked = run(
        "git", "ls-files", "analysis", "codec", "hoa", "listening", "render", "stimuli"
    ).stdout.splitlines()
    assert len(tracked) > 200
    assert [name for name in tracked if not (installed / name).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "other"), [("analysis", "render"), ("render", "analysis")])
def test_a_folder_that_hides_a_package_is_named(installed, decoys, hidden, other):
    (decoys / other / "__init__.py").unlink()  # a folder without it hides nothing
    refused = run(sys.executable, "-m", "codec.inspect", "--help", cwd=decoys, PYTHONPATH=str(installed))
    assert refused.returncode == 2
    assert f"{decoys / hidden} hides the package {hidden!r} of hoa-rvqgan" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "the decoy was imported" not in refused.stderr


@pytest.mark.slow
def test_a_help_text_names_documentation_that_is_there(installed, tmp_path):
    script = str(installed / "bin/hoa")
    answer = run(sys.executable, script, "analysis", "mushra", "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    addresses = [Path(address) for address in re.findall(r"\S+docs/[\w-]+\.md", answer.stdout)]
    assert [address.name for address in addresses] == ["analysis.md", "figures.md"]
    for address in addresses:
        assert address.is_relative_to(installed)
        assert address.read_text() == (ROOT / "docs" / address.name).read_text()


@pytest.mark.slow
def test_the_script_hoa_does_not_look_into_the_current_folder(installed, decoys):
    words = (sys.executable, str(installed / "bin/hoa"), "codec", "inspect", "--help")
    answer = run(*words, cwd=decoys, PYTHONPATH=str(installed))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("usage: hoa codec inspect")
