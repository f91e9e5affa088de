import os
import sys

import numpy as np
import pytest

from render.binaural import main
from render.fileio.audio_file import info, read, write_scene
from render.headphones.hrir import rigid_sphere
from render.headphones.renderer import HeadphoneRendering, binaural
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics

h5py = pytest.importorskip("h5py")


def write_sofa(path):
    """Write the responses of the rigid sphere from 80 directions."""
    azimuth, elevation = fibonacci_sphere(80)
    with h5py.File(path, "w") as file:
        file.attrs["DataType"] = "FIR"
        file["Data.IR"] = rigid_sphere(azimuth, elevation, 48000).impulses
        file["SourcePosition"] = np.stack([np.degrees(azimuth), np.degrees(elevation), np.ones(80)], axis=1)
        file["SourcePosition"].attrs["Type"] = "spherical"
        file["SourcePosition"].attrs["Units"] = "degree, degree, metre"
        file["ReceiverPosition"] = np.array([[0, 0.09, 0], [0, -0.09, 0]])[..., None]
        file["Data.SamplingRate"] = [48000.0]
    return path


def test_the_command_writes_two_channels_and_says_how_well(tmp_path, monkeypatch, capsys):
    samples = np.zeros((16, 4096), np.float32)
    samples[:, 2048] = 0.5 * spherical_harmonics(3, np.radians([45]), np.zeros(1))[0]  # an impulse
    scene = Scene(samples, 48000)
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
    np.testing.assert_allclose(read(out)[0], binaural(scene, HeadphoneRendering(sofa=sofa)), atol=2.0**-22)
    assert os.path.exists(f"{out}.json")


def test_a_moving_head_and_filters_written_before(tmp_path, monkeypatch, capsys):
    """Two commands in a row: filters, and a scene through them for a head that turns to the left by 90 degrees."""
    samples = np.zeros((4, 4800), np.float32)
    samples[:, ::480] = 0.2 * spherical_harmonics(1, np.radians([90]), np.zeros(1)).T  # impulses from the left
    write_scene(tmp_path / "scene.wav", Scene(samples, 48000))
    (tmp_path / "head.csv").write_text("time_s,yaw_deg\n0,0\n0.02,90\n")
    monkeypatch.chdir(tmp_path)
    from render import filters

    monkeypatch.setattr(sys, "argv", ["render.filters", "--ambisonic-order", "1", "-o", "f.wav"])
    filters.main()
    assert capsys.readouterr().out.startswith("f.wav: 2 ears, 4 inputs, ")
    words = ["scene.wav", "--filters", "f.wav", "--trajectory", "head.csv", "--subtype", "FLOAT", "-o", "o.wav"]
    monkeypatch.setattr(sys, "argv", ["render.binaural", *words])
    main()
    assert "ready filters, f.wav" in capsys.readouterr().out
    ears, _ = read(tmp_path / "o.wav")
    left, right = np.square(ears[:, :400]).sum(axis=1)
    assert left > 2 * right  # at first the source is on the left
    left, right = np.square(ears[:, 2800:]).sum(axis=1)
    np.testing.assert_allclose(left, right, rtol=1e-3)  # then in front
