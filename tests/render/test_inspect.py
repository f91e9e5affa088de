import sys

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import write_scene, writer
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics
from render.inspect import main


def ambience(order, length=24000, seed=0):
    """Independent noises from 200 directions, SN3D."""
    azimuth, elevation = fibonacci_sphere(200)
    noises = np.random.default_rng(seed).standard_normal((200, length))
    return (0.01 * spherical_harmonics(order, azimuth, elevation).T @ noises).astype(np.float32)


@pytest.fixture
def inspected(monkeypatch, capsys):
    def call(path):
        monkeypatch.setattr(sys, "argv", ["render.inspect", str(path)])
        main()
        return capsys.readouterr().out

    return call


def test_the_command_prints_what_the_file_is(tmp_path, inspected):
    write_scene(tmp_path / "x.wav", Scene(ambience(3), 48000), "PCM_24")
    text = inspected(tmp_path / "x.wav")
    assert "WAV PCM_24, 16 channels" in text
    assert "24000 samples at 48000 Hz, 0.500 s" in text
    assert "as Ambisonics: order 3" in text
    assert "likely normalisation: SN3D" in text


def test_a_feed_is_no_scene(tmp_path, inspected):
    with writer(tmp_path / "x.wav", 12, 48000, "PCM_24", channel_mask=0x2D63F) as file:
        file.write(np.ones((12, 4800), np.float32) * np.arange(12)[:, None].astype(np.float32) / 16)
    text = inspected(tmp_path / "x.wav")
    assert "12 channels, channel mask 0x2d63f" in text
    assert "12 channels: no full-sphere Ambisonic order" in text
    assert "silent channels: 0" in text


def test_a_not_finite_sample_is_an_error(tmp_path, inspected):
    import soundfile

    samples = np.zeros((100, 4))
    samples[17, 3] = np.nan
    soundfile.write(tmp_path / "x.wav", samples, 48000, "FLOAT")
    with pytest.raises(InputError, match="nan in channel 3 at sample 17"):
        inspected(tmp_path / "x.wav")


def test_a_feed_is_measured_by_its_layout(tmp_path, monkeypatch, capsys):
    time_s = np.arange(48000) / 48000
    samples = np.zeros((12, 48000), np.float32)
    samples[6] = 10 ** (-23 / 20) * np.sin(2 * np.pi * 997 * time_s)  # M+090 in WAV order
    with writer(tmp_path / "feed.wav", 12, 48000, "PCM_24") as file:
        file.write(samples)
    monkeypatch.setattr(
        sys, "argv", ["render.inspect", str(tmp_path / "feed.wav"), "--layout", "7.1.4", "--order", "wav"]
    )
    main()
    assert "as a feed of 4+7+0: -24.52 LUFS, true peak -23.00 dBTP" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["render.inspect", str(tmp_path / "feed.wav"), "--layout", "5.1"])
    with pytest.raises(InputError, match=r"12 channels, but layout 0\+5\+0 has 6"):
        main()
