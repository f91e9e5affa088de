"""The report command."""

import pytest

from analysis.ratings.table import write
from analysis.study.simulation import EFFECTS, simulate


@pytest.mark.slow
def test_the_report_is_written(tmp_path, command):
    write(tmp_path / "r.csv", simulate(EFFECTS, 6, ["Beach", "Park", "Woodland"], seed=1))
    made = command("analysis.report", tmp_path / "r.csv", "-o", tmp_path / "r.html")
    assert made.returncode == 0, made.stderr
    assert "SIMULATED RATINGS" in (tmp_path / "r.html").read_text()


def test_the_template_is_printed(command):
    assert 'room = ""' in command("analysis.report", "--template").stdout
