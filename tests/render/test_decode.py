import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from render.common.cli import run
from render.common.errors import InputError
from render.decode import main
from render.fileio.audio_file import info, read, write_scene, writer
from render.hoa.layout import layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics
from render.loudspeakers.design import decoding_matrix
from render.loudspeakers.renderer import decode, decode_file


def scene(order=3, frames=5000, level=0.05, seed=0):
    samples = level * np.random.default_rng(seed).standard_normal(((order + 1) ** 2, frames))
    return Scene(samples.astype(np.float32), 48000)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process: exit status, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["render.decode", *map(str, arguments)])
        status = 0
        try:
            run(main)
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return call


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg", "label"), [
    (30, 0, "M+030"), (-90, 0, "M-090"), (135, 0, "M+135"), (-45, 30, "U-045"), (0, 0, "M+000"),
])  # fmt: skip
def test_a_plane_wave_is_loudest_from_the_loudspeaker_it_comes_from(azimuth_deg, elevation_deg, label):
    wave = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg])).T
    feed = decode(Scene((wave * np.ones(4)).astype(np.float32), 48000), layout("7.1.4"))
    assert feed.layout.labels[int(np.argmax(np.abs(feed.samples[:, 0])))] == label


def test_the_lfe_is_exactly_silent():
    feed = decode(scene(), layout("22.2"))
    assert not feed.samples[[s.is_lfe for s in feed.layout.loudspeakers]].any()


def test_the_file_is_the_exact_product_within_one_step_of_24_bits(tmp_path):
    write_scene(tmp_path / "scene.wav", scene(frames=150_000), "PCM_24")
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", layout("7.1.4"))
    exact = decoding_matrix(layout("7.1.4"), 3) @ read(tmp_path / "scene.wav")[0].astype(np.float64)
    assert np.abs(read(tmp_path / "feed.wav")[0] - exact).max() <= 2.0**-23


def test_blocks_change_no_bit(tmp_path):
    whole = scene(frames=40_000)
    write_scene(tmp_path / "scene.wav", whole)
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", layout("7.1.4"), subtype="FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "feed.wav")[0], decode(whole, layout("7.1.4")).samples)


def test_measured_positions_are_taken_from_a_file(tmp_path, command):
    (tmp_path / "lab.toml").write_text('layout = "7.1.4"\n[loudspeakers]\n"U+045" = { elevation = 44 }\n')
    write_scene(tmp_path / "scene.wav", scene())
    status, _, _ = command(tmp_path / "scene.wav", "--layout", tmp_path / "lab.toml", "-o", tmp_path / "feed.wav")
    record = json.loads((tmp_path / "feed.wav.json").read_text())
    assert status == 0
    assert {c["label"]: c["elevation_deg"] for c in record["channels"]}["U+045"] == 44.0
    assert np.abs(read(tmp_path / "feed.wav")[0] - decode(scene(), layout("7.1.4")).samples).max() > 1e-3


def test_wav_order_exchanges_rear_and_side(tmp_path):
    write_scene(tmp_path / "scene.wav", scene())
    records = [
        decode_file(tmp_path / "scene.wav", tmp_path / f"{order}.wav", layout("7.1.4"), order=order)
        for order in ("bs2051", "wav")
    ]
    standard, wav = (read(tmp_path / f"{order}.wav")[0] for order in ("bs2051", "wav"))
    np.testing.assert_array_equal(wav, standard[[0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 10, 11]])
    assert info(tmp_path / "wav.wav").channel_mask == 0x2D63F
    labels = " ".join(channel["label"] for channel in records[1]["channels"])
    assert labels == "M+030 M-030 M+000 LFE1 M+135 M-135 M+090 M-090 U+045 U-045 U+135 U-135"
    assert records[0]["matrix_sha256"] == records[1]["matrix_sha256"]


def test_the_record_tells_what_was_done(tmp_path):
    write_scene(tmp_path / "scene.w64", scene(order=1, frames=48000, level=0.5))
    record = decode_file(tmp_path / "scene.w64", tmp_path / "feed.wav", layout("5.1"), subtype="PCM_16")
    assert record == json.loads((tmp_path / "feed.wav.json").read_text())
    feed = decode(scene(order=1, frames=48000, level=0.5), layout("5.1")).samples
    assert record["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(feed).max()), abs=1e-3)
    assert record["clipped_values"] == np.count_nonzero(np.abs(feed) > 1)
    channel, sample = np.unravel_index(np.argmax(np.abs(feed.T) > 1) % feed.size, feed.T.shape)[::-1]
    assert record["first_clipped"] == {
        "channel": layout("5.1").labels[channel],
        "time_s": pytest.approx(sample / 48000),
    }
    assert record["ambisonic_order"] == 1
    assert record["loudness_gated"] is True


def test_repeating_is_accepted_changing_is_not(tmp_path):
    write_scene(tmp_path / "scene.wav", scene())
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", layout("7.1.4"))
    before = (tmp_path / "feed.wav").read_bytes()
    decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", layout("7.1.4"))
    with pytest.raises(InputError, match="exists and differs"):
        decode_file(tmp_path / "scene.wav", tmp_path / "feed.wav", layout("5.1"))
    assert (tmp_path / "feed.wav").read_bytes() == before
    assert json.loads((tmp_path / "feed.wav.json").read_text())["layout"] == "4+7+0"


def test_the_command_renders_and_speaks(tmp_path, command):
    write_scene(tmp_path / "scene.wav", scene(frames=9600, level=0.5))
    status, said, warned = command(tmp_path / "scene.wav", "--layout", "7.1.4", "-o", tmp_path / "feed.wav")
    assert status == 0
    assert "4+7+0, M+030 M-030 M+000 LFE1 M+090" in said
    assert "(shorter than 0.4 s: not gated)" in said
    assert "values beyond full scale were clipped, the first in " in warned
    assert info(tmp_path / "feed.wav").channels == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout", "7.1.5"], "error: layout '7.1.5' is unknown; known are 2.0 (0+2+0), "),
        (
            ["--layout", "22.2", "--order", "wav"],
            "error: layout 9+10+3: WAV has no channel position for M+060",
        ),
        (
            ["--layout", "stereo", "--decoder", "allrad"],
            "error: decoder allrad needs loudspeakers on all sides",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(tmp_path, command, arguments, message):
    write_scene(tmp_path / "scene.wav", scene(frames=100))
    status, _, warned = command(tmp_path / "scene.wav", *arguments, "-o", tmp_path / "feed.wav")
    assert status == 2
    assert warned.startswith(message)
    assert warned.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scene.wav"]


def test_a_scene_that_is_none_is_refused_and_leaves_nothing(tmp_path, command):
    with writer(tmp_path / "scene.wav", 12, 48000) as file:
        file.write(np.zeros((12, 10), np.float32))
    status, _, warned = command(tmp_path / "scene.wav", "--layout", "7.1.4", "-o", tmp_path / "feed.wav")
    assert status == 2
    assert "scene.wav: 12 channels are no Ambisonic scene; possible are 1 (order 0), 4 (order 1)" in warned
    assert [path.name for path in tmp_path.iterdir()] == ["scene.wav"]


def test_memory_does_not_depend_on_the_length(tmp_path):
    """Peak of what is allocated while 4 s and 20 s of third order are decoded."""
    block = scene(frames=4 * 48000).samples
    decoding_matrix(layout("7.1.4"), 3)
    peak_bytes = []
    for repetitions in (1, 5):
        with writer(tmp_path / f"{repetitions}.w64", 16, 48000, "PCM_16") as file:
            for _ in range(repetitions):
                file.write(block)
        tracemalloc.start()
        decode_file(tmp_path / f"{repetitions}.w64", tmp_path / f"{repetitions}.wav", layout("7.1.4"))
        peak_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 16 s more are 49 MB; how many blocks of 1 MB are under way at once is up to the scheduler
    assert peak_bytes[1] - peak_bytes[0] < 5e6
    assert peak_bytes[0] < 60e6


def test_help_answers_at_once():
    """Half a second of processor time at most: no numpy is imported."""
    program = (
        "import sys, runpy; sys.argv = ['render.decode', '--help']\n"
        "try: runpy.run_module('render.decode', run_name='__main__')\n"
        "except SystemExit: print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python -m render.decode")
    assert done.stdout.endswith("False\n")
