import os
import sys

import numpy as np
import pytest

from render.binaural import main
from render.fileio.audio_file import info, read, write_scene
from render.headphones.hrir import rigid_sphere
from render.headphones.renderer import Listening, binaural
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics

h5py = pytest.importorskip("h5py")


def plane_wave(azimuth_deg, elevation_deg=0.0, order=3, frames=4096):
    """A scene of an impulse of half full scale in the middle."""
    samples = np.zeros(((order + 1) ** 2, frames), np.float32)
    samples[:, frames // 2] = 0.5 * spherical_harmonics(order, *np.radians([[azimuth_deg], [elevation_deg]]))[0]
    return Scene(samples, 48000)


def write_sofa(
    path, *, impulses=None, positions=None, rate=48000.0, kind="FIR", delay=None, receivers=None, cartesian=False
):
    azimuth, elevation = fibonacci_sphere(80)
    sphere = rigid_sphere(azimuth, elevation, 48000)
    with h5py.File(path, "w") as file:
        file.attrs["DataType"] = kind
        file["Data.IR"] = sphere.impulses if impulses is None else impulses
        degrees = np.stack([np.degrees(azimuth), np.degrees(elevation), np.ones(80)], axis=1)
        if cartesian:
            degrees = np.stack(
                [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], 1
            )
        file["SourcePosition"] = degrees if positions is None else positions
        file["SourcePosition"].attrs["Type"] = "cartesian" if cartesian else "spherical"
        file["SourcePosition"].attrs["Units"] = "metre" if cartesian else "degree, degree, metre"
        file["ReceiverPosition"] = np.array([[0, 0.09, 0], [0, -0.09, 0]] if receivers is None else receivers)[
            ..., None
        ]
        file["Data.SamplingRate"] = np.atleast_1d(rate)
        file["Data.Delay"] = np.zeros((1, 2)) if delay is None else delay
    return path


def test_the_command_writes_two_channels_and_says_how_well(tmp_path, monkeypatch, capsys):
    scene = plane_wave(45)
    write_scene(tmp_path / "scene.wav", scene)
    sofa = write_sofa(tmp_path / "head.sofa")
    out = tmp_path / "out.wav"
    monkeypatch.setattr(
        sys, "argv", ["render.binaural", str(tmp_path / "scene.wav"), "--sofa", str(sofa), "-o", str(out)]
    )
    main()
    said = capsys.readouterr().out
    assert "magnitude least squares, head.sofa" in said
    assert "order 3 against this head" in said
    assert (info(out).channels, info(out).channel_mask, info(out).length) == (2, 3, scene.length)
    np.testing.assert_allclose(read(out)[0], binaural(scene, Listening(sofa=sofa)), atol=2.0**-22)
    assert os.path.exists(f"{out}.json")
