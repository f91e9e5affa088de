"""Recordings brought into the paper's form: exact lengths, levels, dither, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from render.artefact import record_path
from render.audio_file import info, read, writer
from render.errors import InputError
from stimuli.corpus import find_recordings
from stimuli.prepare import prepare_file

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


def _tones(path, seconds=1.0, channels=25, rate_hz=48_000, level=0.01, subtype="PCM_24"):
    """Channel k holds a sine of 200 + 50 k Hz."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    frequency_hz = 200 + 50 * np.arange(channels)
    samples = level * np.sin(2 * np.pi * frequency_hz[:, None] * time_s)
    with writer(path, channels, rate_hz, subtype) as file:
        file.write(samples.astype(np.float32))
    return path


def _fit(signal, frequency_hz, rate_hz):
    """Amplitude of a sine that starts at time 0, and the rms of what is left."""
    carrier = np.sin(2 * np.pi * frequency_hz * np.arange(len(signal)) / rate_hz)
    inner = slice(rate_hz // 10, -rate_hz // 10)
    amplitude = 2 * np.mean(signal[inner] * carrier[inner])
    return amplitude, np.std(signal[inner] - amplitude * carrier[inner])


def _run(*arguments):
    command = [sys.executable, "-m", "stimuli.prepare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_form_gain_and_time(tmp_path):
    """16 channels, 44.1 kHz, 16 bit; one gain for all channels; not a sample early or late."""
    source = _tones(tmp_path / "Beach.3.wav")
    record = prepare_file(source, tmp_path / "out" / "Beach.3.wav")
    about = info(tmp_path / "out" / "Beach.3.wav")
    assert (about.channels, about.sample_rate_hz, about.frames, about.subtype) == (16, 44_100, 44_100, "PCM_16")
    # 0.01 is -40 dBFS: 36 dB bring it to -4, the first multiple of 6 below the headroom of 3 dB
    assert record["gain_db"] == 36
    assert (record["scene_class"], record["recording"], record["order"]) == ("Beach", 3, 3)
    assert (record["source_order"], record["bits"], record["dither"]) == (4, 16, True)
    samples, rate_hz = read(tmp_path / "out" / "Beach.3.wav")
    for channel in range(16):
        amplitude, rest = _fit(samples[channel].astype(float), 200 + 50 * channel, rate_hz)
        assert amplitude == pytest.approx(0.01 * 10 ** (36 / 20), rel=2e-4)
        # Error of 16 bits with triangular dither: variance of a quarter of an LSB squared
        assert rest * 32768 == pytest.approx(0.5, abs=0.05)


def test_dither_keeps_what_is_smaller_than_a_step(tmp_path):
    """A sine of 0.4 LSB: without dither 16 bits round it to silence; with it, it stays, undistorted."""
    source = _tones(tmp_path / "a.wav", 4.0, 16, 44_100, level=0.4 / 32768)
    prepare_file(source, tmp_path / "b.wav", gain_db=0.0)
    made = read(tmp_path / "b.wav")[0][4].astype(float) * 32768
    amplitude, _ = _fit(made, 400, 44_100)
    assert amplitude == pytest.approx(0.4, abs=0.01)
    third, _ = _fit(made, 1200, 44_100)
    assert abs(third) < 0.01


@pytest.mark.parametrize(
    ("frames", "rate_hz"), [(48_001, 48_000), (12_345, 32_000), (30_000, 96_000), (5_000, 44_100)]
)
def test_length_follows_the_rate(frames, rate_hz, tmp_path):
    path = tmp_path / "scene.wav"
    with writer(path, 16, rate_hz, "FLOAT") as file:
        file.write(np.full((16, frames), 0.1, np.float32))
    prepare_file(path, tmp_path / "made.wav")
    assert abs(info(tmp_path / "made.wav").frames - frames * 44_100 / rate_hz) <= 0.5


def test_what_is_in_the_form_already_is_not_touched(tmp_path):
    rng = np.random.default_rng(1)
    integers = rng.integers(-20_000, 20_000, (4_410, 16), dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", integers, 44_100, "PCM_16")
    record = prepare_file(tmp_path / "a.wav", tmp_path / "b.wav")
    made, _ = soundfile.read(tmp_path / "b.wav", dtype="int16")
    assert (record["gain_db"], record["dither"]) == (0, False)
    np.testing.assert_array_equal(made, integers)


def test_constant_gain_and_24_bits(tmp_path):
    source = _tones(tmp_path / "a.wav", channels=16)
    record = prepare_file(source, tmp_path / "b.wav", bits=24, gain_db=20.0)
    assert info(tmp_path / "b.wav").subtype == "PCM_24"
    amplitude, rest = _fit(read(tmp_path / "b.wav")[0][5].astype(float), 450, 44_100)
    assert amplitude == pytest.approx(0.1, rel=1e-4)
    assert rest < 2e-6
    assert record["gain_db"] == 20.0
    with pytest.raises(InputError, match=r"a\.wav.*clip with a gain of 50 dB"):
        prepare_file(source, tmp_path / "c.wav", gain_db=50.0)
    assert not (tmp_path / "c.wav").exists()


def test_content_decides_the_bits(tmp_path):
    """Dither comes from the content: the same source gives the same file, anywhere."""
    one, other = _tones(tmp_path / "one.wav"), tmp_path / "moved.wav"
    other.write_bytes(one.read_bytes())
    prepare_file(one, tmp_path / "a.wav")
    prepare_file(other, tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_finished_files_are_kept_and_changed_sources_are_made_again(tmp_path):
    source, target = _tones(tmp_path / "a.wav"), tmp_path / "out.wav"
    prepare_file(source, target)
    written = target.stat().st_mtime_ns
    prepare_file(source, target)
    assert target.stat().st_mtime_ns == written
    prepare_file(source, target, gain_db=0.0)
    assert json.loads(record_path(target).read_text())["gain_db"] == 0.0
    source.unlink()
    prepare_file(_tones(source, level=0.02), target)
    amplitude, _ = _fit(read(target)[0][0].astype(float), 200, 44_100)
    assert amplitude == pytest.approx(0.02 * 10 ** (30 / 20), rel=1e-3)


def test_a_foreign_file_is_never_overwritten(tmp_path):
    source, target = _tones(tmp_path / "a.wav"), tmp_path / "mine.wav"
    target.write_bytes(b"my precious")
    with pytest.raises(InputError, match=r"mine\.wav"):
        prepare_file(source, target)
    assert target.read_bytes() == b"my precious"
    with pytest.raises(InputError, match="choose another folder"):
        prepare_file(source, source)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (32, r"Park\.6 and Park\.8.*2628463"),
        (4, "order 1; .*third-order Ambisonics"),
        (9, "order 2; .*16 channels"),
        (17, "17 channels are no Ambisonic scene; possible are"),
    ],
)
def test_other_channel_counts_are_refused(channels, message, tmp_path):
    source = _tones(tmp_path / "x.wav", 0.2, channels)
    with pytest.raises(InputError, match=message):
        prepare_file(source, tmp_path / "y.wav")
    assert not (tmp_path / "y.wav").exists()


def test_damaged_sources_are_refused(tmp_path):
    samples = np.zeros((4_800, 16), np.float32)
    samples[1_234, 7] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 48_000, "FLOAT")
    with pytest.raises(InputError, match=r"nan\.wav.*nan in channel 7 at sample 1234"):
        prepare_file(tmp_path / "nan.wav", tmp_path / "y.wav")
    whole = _tones(tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.wav: cut off"):
        prepare_file(tmp_path / "cut.wav", tmp_path / "y.wav")
    (tmp_path / "short.wav").write_bytes(whole[:0])
    with pytest.raises(InputError, match=r"short\.wav"):
        prepare_file(tmp_path / "short.wav", tmp_path / "y.wav")
    with pytest.raises(InputError, match=r"missing\.wav: no such file"):
        prepare_file(tmp_path / "missing.wav", tmp_path / "y.wav")
    assert not list(tmp_path.glob("*y.wav*"))


def test_synthetic_material_stays_labelled(tmp_path):
    from stimuli.synth import Synthesis, write_scene_file

    write_scene_file(Synthesis("Beach", 8, 1, 9_600), tmp_path)
    record = prepare_file(tmp_path / "Beach.8.wav", tmp_path / "out" / "Beach.8.wav")
    assert "synthetic" in record["material"]


def test_folder_killed_and_resumed(tmp_path):
    """Killed in the middle (SIGKILL), repeated: the same files as one that ran through."""
    root = tmp_path / "corpus"
    for name in ("Beach.1", "Park.2", "Woodland.8"):
        _tones(root / f"{name}.wav", 2.0, 16)
    assert _run(root, "-o", tmp_path / "a", "--workers", 2).returncode == 0
    command = [sys.executable, "-m", "stimuli.prepare", str(root), "-o", str(tmp_path / "b"), "--workers", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("b/*.wav")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert _run(root, "-o", tmp_path / "b", "--workers", 2).returncode == 0
    assert [r.path.name for r in find_recordings(tmp_path / "b")] == [
        "Beach.1.wav",
        "Park.2.wav",
        "Woodland.8.wav",
    ]
    content = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in "ab"]
    assert content[0] == content[1]
    chosen = _run(root, "-o", tmp_path / "c", "--recordings", "8")
    assert chosen.returncode == 0
    assert [path.name for path in sorted((tmp_path / "c").glob("*.wav"))] == ["Woodland.8.wav"]


def test_command_line_refuses(tmp_path):
    root = _tones(tmp_path / "corpus" / "Park.6.wav", 0.2, 32).parent
    done = _run(root, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "2628463" in done.stderr
    assert "Traceback" not in done.stderr
    assert _run(root, "-o", tmp_path / "out", "--recordings", "x").returncode == 2


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_real_recordings(tmp_path):
    folder = Path(REFERENCE) / "audio" / "hoa"
    for path in sorted(folder.glob("*.wav")):
        record = prepare_file(path, tmp_path / path.name)
        made, rate_hz = read(tmp_path / path.name)
        original, original_rate_hz = read(path)
        assert made.shape == (16, round(original.shape[1] * rate_hz / original_rate_hz))
        level_db = 20 * np.log10(made.std(axis=1) / original[:16].std(axis=1))
        np.testing.assert_allclose(level_db, record["gain_db"], atol=0.05)
        assert 0.3 < np.abs(made).max() < 0.75
