"""Recordings that are not SN3D are recognised by their statistics."""

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import info, read, writer
from render.hoa.spherical_harmonics import sn3d_to_n3d, spherical_harmonics
from stimuli.preparation.convention_check import check_convention
from stimuli.preparation.conversion import PreparationSettings, prepare_file


def field(path, order, n3d=False, waves=40):
    """Many plane waves from everywhere, as a diffuse but real field."""
    random = np.random.default_rng(0)
    azimuth, elevation = random.uniform(-np.pi, np.pi, waves), np.arcsin(random.uniform(-1, 1, waves))
    gains = spherical_harmonics(order, azimuth, elevation) * (sn3d_to_n3d(order) if n3d else 1)
    samples = 0.01 * gains.T @ random.standard_normal((waves, 48_000))
    with writer(path, len(samples), 48_000, "PCM_24", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


def test_n3d_is_refused_or_converted(tmp_path):
    sn3d, n3d = (field(tmp_path / f"{name}.wav", 3, n3d=name == "n3d") for name in ("sn3d", "n3d"))
    with pytest.raises(InputError, match=r"n3d\.wav: its statistics say ACN N3D.*--convention n3d converts"):
        prepare_file(n3d, tmp_path / "a.wav")
    prepare_file(n3d, tmp_path / "b.wav", PreparationSettings(convention="n3d", gain_db=0.0))
    prepare_file(sn3d, tmp_path / "c.wav", PreparationSettings(gain_db=0.0))
    converted, original = read(tmp_path / "b.wav")[0], read(tmp_path / "c.wav")[0]
    assert np.abs(converted - original).max() < 4 / 32768  # dither alone
    prepare_file(n3d, tmp_path / "d.wav", PreparationSettings(convention="sn3d"))
    # What was prepared once is not doubted again
    prepare_file(tmp_path / "d.wav", tmp_path / "e.wav")


def test_fuma_is_refused(tmp_path):
    samples, rate = read(field(tmp_path / "a.wav", 2))
    root3 = np.sqrt(3)
    gains = np.array([2**0.5, 1, 1, 1, root3 / 2, root3 / 2, 1, root3 / 2, root3 / 2])
    fuma = np.empty_like(samples)
    fuma[[0, 2, 3, 1, 8, 6, 4, 5, 7]] = samples / gains[:, None]
    with writer(tmp_path / "f.wav", 9, rate, "FLOAT") as file:
        file.write(fuma.astype(np.float32))
    check_convention(info(tmp_path / "a.wav"))
    with pytest.raises(InputError, match=r"say FuMa, not SN3D.*--convention fuma converts it"):
        check_convention(info(tmp_path / "f.wav"))
