"""Gains and delays from the distances of loudspeakers."""

import pytest

from render.common.errors import InputError
from render.loudspeakers.calibration import Trim, read_trims


def lab(tmp_path, text):
    (tmp_path / "lab.toml").write_text('layout = "stereo"\n[loudspeakers]\n' + text)
    return tmp_path / "lab.toml"


def test_nearer_loudspeakers_are_attenuated_and_delayed(tmp_path):
    found = read_trims(lab(tmp_path, '"M+030" = { distance = 2.0 }\n"M-030" = { distance = 4.0, gain_db = 1.5 }'))
    assert found["M+030"].gain_db == pytest.approx(-6.0206, abs=1e-4)
    assert found["M+030"].delay_s == pytest.approx(2 / 343)
    assert found["M-030"] == Trim(pytest.approx(1.5), 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"M+030" = { distance = 2.0 }', "M-030 has no distance, but others have"),
        ('"M+030" = { distance = 0 }', "M\\+030: distance 0; possible are 0.3 to 100"),
        ('"M+030" = { gain_db = nan }', "gain_db nan; possible"),
        ('"M+030" = { delay_ms = "1" }', "delay_ms '1'; possible"),
    ],
)
def test_trims_that_cannot_be_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_trims(lab(tmp_path, text))
