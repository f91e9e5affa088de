"""Opus for Ambisonics: alignment, rates, matrices and refusals, by libopus, physics and other readers."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from listening import opus
from listening.opus_codec import libopus, ogg_opus
from listening.opus_codec.codec import (
    OpusSettings,
    coded_peak,
    decode,
    decode_blocks,
    encode,
    encode_blocks,
    round_trip,
)
from listening.opus_codec.info import inspect
from render.common.errors import InputError
from render.fileio import audio_file, scene_file
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import acn_orders, fibonacci_sphere, spherical_harmonics

MUSIC = OpusSettings(signal="music")
ONE_SECOND = 48_000


def high_rate(channels: int) -> OpusSettings:
    return OpusSettings(bitrate_bps=200_000 * channels, signal="music")


def pink_bursts(frames: int, seed: int) -> np.ndarray:
    """Noise with a sloping spectrum up to 16 kHz and an envelope with edges: a sharp cross-correlation."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    frequency_hz = np.fft.rfftfreq(frames, 1 / 48_000)
    spectrum *= (frequency_hz < 16_000) / np.sqrt(1 + frequency_hz / 200)
    noise = np.fft.irfft(spectrum, frames)
    envelope = np.repeat(rng.uniform(0.2, 1, frames // 2400 + 1), 2400)[:frames]
    return 0.2 * envelope * noise / np.abs(noise).max()


def plane_wave(signal: np.ndarray, order: int, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    gains = spherical_harmonics(order, np.radians([azimuth_deg]), np.radians([elevation_deg]))
    return (gains.T * signal).astype(np.float32)


def scene_of_two(frames: int, order: int, rate_hz: int = 48_000) -> Scene:
    left = plane_wave(pink_bursts(frames, 1), order, 60, 10)
    right = plane_wave(pink_bursts(frames, 2), order, -110, -20)
    return Scene(left + right, rate_hz)


def lag(reference: np.ndarray, other: np.ndarray) -> int:
    """Delay of `other` in samples, by the peak of the cross-correlation summed over the channels."""
    size = 2 * reference.shape[1]
    spectrum = np.fft.rfft(other, size) * np.fft.rfft(reference, size).conj()
    peak = int(np.argmax(np.fft.irfft(spectrum.sum(0), size)))
    return peak - size if peak > size // 2 else peak


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(np.sum(reference**2) / np.sum((reference - other) ** 2))


def write_wav(path, scene: Scene) -> None:
    with audio_file.writer(path, len(scene.samples), scene.sample_rate_hz, "FLOAT") as file:
        file.write(scene.samples)


@pytest.fixture(scope="module")
def third_order() -> Scene:
    return scene_of_two(ONE_SECOND + 123, 3)


@pytest.fixture(scope="module")
def paper_file(third_order) -> bytes:
    return encode(third_order)


# ------------------------------------------------------------------------------------ length and position


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("settings", [OpusSettings(), MUSIC, OpusSettings(family=2, vbr=False)])
def test_no_lag_in_any_mode(order, settings):
    scene = scene_of_two(24_000, order)
    assert abs(lag(scene.samples, decode(encode(scene, settings)).samples)) <= 1


@pytest.mark.parametrize("rate_hz", [44_100, 32_000, 96_000])
def test_round_trip_at_other_rates_keeps_length_and_position(rate_hz):
    scene = scene_of_two(rate_hz // 2 + 1, 1, rate_hz)
    back, ogg = round_trip(scene, high_rate(4))
    assert (back.sample_rate_hz, back.samples.shape) == (rate_hz, scene.samples.shape)
    assert lag(scene.samples, back.samples) == 0
    assert inspect(ogg).input_rate_hz == rate_hz


@pytest.mark.parametrize("frames", [1, 2, 311, 312, 313, 647, 648, 649, 959, 960, 961, 48_000, 65_536, 65_537])
def test_every_length_comes_back(frames):
    ogg = encode(Scene(np.full((4, frames), 0.1, np.float32), 48_000), high_rate(4))
    assert decode(ogg).samples.shape == (4, frames)
    assert inspect(ogg).length == frames


def test_high_rate_is_nearly_transparent(third_order):
    assert snr_db(third_order.samples, decode(encode(third_order, high_rate(16))).samples) > 20


def test_silence_stays_silence():
    silence = Scene(np.zeros((16, 24_000), np.float32), 48_000)
    for settings in (OpusSettings(), OpusSettings(family=2, vbr=False)):
        assert np.abs(decode(encode(silence, settings)).samples).max() < 1e-6


def test_energy_of_a_plane_wave_by_order(third_order):
    # SN3D: the squared gains of the channels of one order sum to 1 (addition theorem)
    signal = pink_bursts(ONE_SECOND, 3)
    decoded = decode(encode(Scene(plane_wave(signal, 3, 37, 25), 48_000), high_rate(16))).samples
    energy = np.bincount(acn_orders(3), np.sum(decoded.astype(np.float64) ** 2, axis=1))
    np.testing.assert_allclose(10 * np.log10(energy / np.sum(signal**2)), 0, atol=0.3)


# --------------------------------------------------------------------------------------- matrix and gain


@pytest.mark.parametrize("channels", [4, 9, 16])
def test_mixing_and_demixing_as_libopus_does_them(channels):
    """Tones in the Ambisonic channels, the coded channels read out raw: libopus's own mixing matrix."""
    time_s = np.arange(24_000) / 48_000
    frequencies_hz = 200 * (1 + np.arange(channels))
    tones = 0.05 * np.sin(2 * np.pi * frequencies_hz[:, None] * time_s + np.arange(channels)[:, None])
    ogg = encode(Scene(tones.astype(np.float32), 48_000), high_rate(channels))
    head, _, runs = ogg_opus.read(io.BytesIO(ogg), "file")
    raw = replace(head, family=2, mapping=bytes(range(channels)), output_gain_q8=0)
    with libopus.Decoder(raw) as decoder:
        coded = np.concatenate([decoder.decode(packet) for run in runs for packet in run.packets])
    inside = slice(4800, -4800)
    coded = coded[head.pre_skip : head.pre_skip + 24_000][inside]
    mixing = np.linalg.lstsq(tones.T[inside], coded, rcond=None)[0].T
    np.testing.assert_allclose(mixing, libopus.mixing_matrix(channels), atol=0.01)
    np.testing.assert_allclose(libopus.demixing_matrix(head) @ mixing, np.eye(channels), atol=0.03)


def test_head_of_third_order(paper_file):
    head, tags, _ = ogg_opus.read(io.BytesIO(paper_file), "file")
    assert (head.channels, head.streams, head.coupled, head.pre_skip) == (16, 8, 8, 312)
    assert (head.output_gain_q8, head.input_rate_hz, len(head.pack())) == (0, 48_000, 533)
    # Demixing matrix of third order in libopus 1.3.1; that of 1.6.1 is the same, byte for byte
    digest = "5ce1e8e350f477a3bd58816e665b80ae8349369b3ed44b28f879acf8496819a6"
    assert hashlib.sha256(head.mapping).hexdigest() == digest
    np.testing.assert_allclose(np.linalg.norm(libopus.mixing_matrix(16), axis=1), 1, atol=1e-4)
    assert tags.vendor == libopus.version()
    assert "ENCODER=hoa-rvqgan" in tags.comments


def test_output_gain_is_applied(paper_file):
    head, tags, runs = ogg_opus.read(io.BytesIO(paper_file), "file")
    packets = [packet for run in runs for packet in run.packets]
    plain = decode(paper_file).samples
    louder = replace(head, output_gain_q8=round(20 * 256 * np.log10(2)))
    doubled = decode(b"".join(ogg_opus.write(louder, tags, packets, plain.shape[1]))).samples
    np.testing.assert_allclose(doubled, 2 * plain, rtol=1e-3, atol=1e-6)


def test_coded_peak_of_a_plane_wave():
    azimuth, elevation = fibonacci_sphere(4000)
    waves = spherical_harmonics(3, azimuth, elevation).T.astype(np.float32)
    # 1.69 was measured with libopus 1.3.1's matrix on a finer grid; family 2 codes the channels themselves
    assert coded_peak(waves) == pytest.approx(1.69, abs=0.01)
    assert coded_peak(waves, OpusSettings(family=2)) == pytest.approx(1, abs=1e-3)
    assert coded_peak(-waves) == coded_peak(waves)


# -------------------------------------------------------------------------------------- rates and modes


def test_constant_rate_of_family_2_is_exact_and_full_band():
    about = inspect(encode(scene_of_two(ONE_SECOND, 3), OpusSettings(family=2, vbr=False)))
    assert (about.family, about.streams, about.coupled, about.stereo_share) == (2, 16, 0, None)
    assert about.packet_kbps == 160.0
    assert (about.modes, about.bandwidths) == ({"CELT": 1.0}, {"FB": 1.0})
    assert about.remarks() == []


def test_modes_on_noise():
    noise = 0.03 * np.random.default_rng(0).standard_normal((16, ONE_SECOND))
    scene = Scene(noise.astype(np.float32), 48_000)
    assert inspect(encode(scene, MUSIC)).modes == {"CELT": 1.0}
    about = inspect(encode(scene))
    if "1.3" not in about.vendor:
        pytest.skip(f"the classifier of {about.vendor} may choose otherwise; libopus 1.3.1 chooses hybrid")
    assert about.modes["hybrid"] > 0.9
    assert any("speech modes" in remark for remark in about.remarks())
    assert any("nominal 160 kbit/s" in remark for remark in about.remarks())


def test_inspect_tells_modes_of_each_stream_and_the_beam_peak(third_order, tmp_path, monkeypatch, capsys):
    payload = encode(third_order, OpusSettings(bitrate_bps=160_000, vbr=False))
    about = inspect(payload)
    assert (len(about.stream_modes), len(about.stream_stereo)) == (8, 8)
    assert sum(about.stream_stereo) / 8 == pytest.approx(about.stereo_share)
    for mode, share in about.modes.items():
        assert sum(modes.get(mode, 0) for modes in about.stream_modes) / 8 == pytest.approx(share)
    (tmp_path / "x.opus").write_bytes(payload)
    monkeypatch.setattr(sys, "argv", ["opus", "inspect", str(tmp_path / "x.opus")])
    opus.main()
    told = capsys.readouterr().out
    peak = float(told.rpartition("beam peak: ")[2].split()[0])
    assert peak == pytest.approx(coded_peak(decode(payload).samples), abs=1e-3)


def test_measured_rate_is_that_of_the_bytes(paper_file, third_order):
    about = inspect(paper_file)
    _, _, runs = ogg_opus.read(io.BytesIO(paper_file), "file")
    sizes = [len(packet) for run in runs for packet in run.packets]
    assert about.packets == len(sizes) == -(-(third_order.length + 312) // 960)
    assert about.packet_kbps == pytest.approx(8 * sum(sizes) / (0.02 * len(sizes)) / 1000)
    assert about.file_kbps == pytest.approx(8 * len(paper_file) / third_order.duration_s / 1000)
    assert sum(about.modes.values()) == pytest.approx(1)


# --------------------------------------------------------------------------------- determinism and memory


def test_equal_scenes_give_equal_files(third_order, paper_file):
    assert encode(third_order) == paper_file
    blocks = np.array_split(third_order.samples, 7, axis=1)
    in_blocks = b"".join(encode_blocks(blocks, 16, third_order.length, 48_000))
    assert in_blocks == paper_file


def test_serial_number_tells_scenes_apart(third_order, paper_file):
    other = encode(Scene(-third_order.samples, 48_000))
    assert other[14:18] != paper_file[14:18]


def test_memory_of_decoding_does_not_grow_with_length():
    packets_of_a_second = ogg_opus.read(io.BytesIO(encode(scene_of_two(48_000, 1))), "file")

    def peak_bytes(seconds: int) -> int:
        head, tags, _ = packets_of_a_second
        ogg = b"".join(ogg_opus.write(head, tags, packets * seconds, 47_000 * seconds))
        tracemalloc.start()
        length = sum(block.shape[1] for block in decode_blocks(io.BytesIO(ogg), "file")[1])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert length == 47_000 * seconds
        return peak

    packets = [packet for run in packets_of_a_second[2] for packet in run.packets]
    assert peak_bytes(12) < 1.2 * peak_bytes(3)


# ----------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("channels", [1, 25])
def test_family_3_says_which_orders_it_takes(channels):
    scene = Scene(np.zeros((channels, 960), np.float32), 48_000)
    if channels == 25 and int(libopus.version().split(".")[1]) >= 5:
        pytest.skip("libopus 1.5 and later take the fourth order")
    with pytest.raises(InputError, match=f"of {channels} channels: 4, 9 or 16 channels are possible"):
        encode(scene)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": 1}, "family 1"),
        ({"signal": "speech"}, "'speech'; possible are auto, music"),
        ({"complexity": 11}, "complexity 11"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        OpusSettings(**arguments)


def test_rates_that_libopus_would_clamp_are_refused(third_order):
    for bitrate_bps in (0, 7_999, 4_800_001):
        with pytest.raises(InputError, match=f"at {bitrate_bps} bit/s; possible with 16 channels are 8000 to"):
            encode(third_order, OpusSettings(bitrate_bps))


def test_an_empty_scene_is_refused():
    with pytest.raises(InputError, match="an empty scene cannot be encoded"):
        encode(Scene(np.zeros((4, 0), np.float32), 48_000))


def test_head_locked_channels_are_refused(paper_file):
    head, tags, runs = ogg_opus.read(io.BytesIO(paper_file), "file")
    packets = [packet for run in runs for packet in run.packets]
    with_pair = replace(head, channels=18, mapping=bytes(2 * 18 * 16))
    with pytest.raises(InputError, match=r"18 channels .* head-locked pair"):
        decode(b"".join(ogg_opus.write(with_pair, tags, packets, 960)))


# ------------------------------------------------------------------------------------------ command line


def test_files_through_the_command_line(tmp_path, command):
    scene = scene_of_two(70_001, 1)
    write_wav(tmp_path / "in.wav", scene)
    words = ["encode", tmp_path / "in.wav", "-o", tmp_path / "x.opus", "--kbps", "512", "--music"]
    done = subprocess.run([sys.executable, "-m", "listening.opus", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    settings = OpusSettings(bitrate_bps=512_000, signal="music")
    assert (tmp_path / "x.opus").read_bytes() == encode(scene, settings)
    assert command("listening.opus", "decode", tmp_path / "x.opus", "-o", tmp_path / "out.wav").returncode == 0
    decoded = scene_file.read_scene(tmp_path / "out.wav")
    assert decoded.sample_rate_hz == 48_000
    np.testing.assert_array_equal(decoded.samples, decode((tmp_path / "x.opus").read_bytes()).samples)
    shown = command("listening.opus", "inspect", tmp_path / "x.opus")
    assert "family 3: 4 channels, 2 streams, 2 coupled" in shown.stdout
    assert "70001 samples at 48 kHz" in shown.stdout


def test_command_line_refuses_in_one_line(tmp_path, command):
    samples = scene_of_two(9600, 1).samples
    samples[2, 777] = np.nan
    import soundfile

    soundfile.write(tmp_path / "nan.wav", samples.T, 48_000, "FLOAT")
    (tmp_path / "cut.opus").write_bytes(encode(scene_of_two(9600, 1))[:-5])
    for arguments, message in (
        (("encode", tmp_path / "nan.wav"), "nan.wav: nan in channel 2 at sample 777"),
        (("decode", tmp_path / "cut.opus"), "the file ends within this page; it is truncated"),
    ):
        refused = command("listening.opus", *arguments, "-o", tmp_path / "out.wav")
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert message in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.opus", "nan.wav"]


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (
            "import ctypes.util; ctypes.util.find_library = lambda name: None",
            "Opus library (libopus >= 1.3) not found. Debian/Ubuntu: apt-get install libopus0; ",
        ),
        (
            "import os; os.environ['HOA_OPUS_LIB'] = '/nowhere/libopus.so'",
            "HOA_OPUS_LIB=/nowhere/libopus.so: not a library that can be loaded",
        ),
        (
            "import ctypes.util, os; os.environ['HOA_OPUS_LIB'] = ctypes.util.find_library('m')",
            "has no opus_get_version_string: need libopus >= 1.3 with Ambisonics. Debian/Ubuntu: apt-get",
        ),
    ],
    ids=["missing", "unloadable", "foreign"],
)
def test_without_a_usable_library_one_line_says_what_to_do(before, message):
    imports = "from listening.opus_codec.libopus import library; from render.common.cli import run"
    program = f"{before}\n{imports}; run(library)"
    environment = {name: value for name, value in os.environ.items() if name != libopus.LIBRARY_VARIABLE}
    refused = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------ other readers


def test_opusinfo_finds_no_fault(paper_file, tmp_path):
    if not shutil.which("opusinfo"):
        pytest.skip("opusinfo (opus-tools) is not installed")
    (tmp_path / "x.opus").write_bytes(paper_file)
    told = subprocess.run(["opusinfo", tmp_path / "x.opus"], capture_output=True, text=True, check=True).stdout
    assert "WARNING" not in told
    assert "Channel Mapping Family: 3" in told
    assert "Streams: 8, Coupled: 8" in told
    assert "Playback length: 0m:01.002s" in told


def test_ffprobe_reads_channels_and_length(paper_file, tmp_path):
    """Its demuxer knows family 3; it says of its decoder that this is not implemented, and ends with status 1."""
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is not installed")
    (tmp_path / "x.opus").write_bytes(paper_file)
    command = ["ffprobe", "-hide_banner", tmp_path / "x.opus"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "Audio: opus, 48000 Hz, 16 channels" in told
    assert "Duration: 00:00:01.0" in told
    assert "corrupt" not in told.lower()


def test_ffmpeg_decodes_family_2_to_the_same_samples(third_order, tmp_path):
    """Its own decoder, written independently of libopus; family 2 is the only Ambisonics that it knows."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    payload = encode(third_order, OpusSettings(family=2, vbr=False))
    (tmp_path / "x.opus").write_bytes(payload)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "x.opus", "-f", "f32le", tmp_path / "x.raw"]
    subprocess.run(command, capture_output=True, check=True)
    theirs = np.fromfile(tmp_path / "x.raw", "<f4").reshape(-1, 16).T
    ours = decode(payload).samples
    assert abs(theirs.shape[1] - ours.shape[1]) <= 960  # it may keep the samples behind the last granule
    common = min(theirs.shape[1], ours.shape[1])
    error = theirs[:, :common] - ours[:, :common]
    assert 10 * np.log10(np.square(error).sum() / np.square(ours).sum()) < -60


def test_channels_of_family_255_are_ambix_by_a_switch_only(third_order, tmp_path, monkeypatch):
    """What ffmpeg writes for 16 channels: family 2 in all but its number."""
    of_family_2 = encode(third_order, OpusSettings(family=2))
    head, tags, runs = ogg_opus.read(io.BytesIO(of_family_2), "x")
    head = replace(head, family=255)
    packets = [packet for run in runs for packet in run.packets]
    length = third_order.length
    (tmp_path / "x.opus").write_bytes(b"".join(ogg_opus.write(head, tags, packets, length)))

    def decoded(*switch):
        words = ["listening.opus", "decode", str(tmp_path / "x.opus"), *switch, "-o", str(tmp_path / "x.wav")]
        monkeypatch.setattr(sys, "argv", words)
        opus.main()

    with pytest.raises(
        InputError, match=r"family 255 is not Ambisonics .* decode --family-255 takes them for ACN"
    ):
        decoded()
    assert not (tmp_path / "x.wav").exists()
    decoded("--family-255")
    expected = decode(of_family_2).samples
    np.testing.assert_array_equal(scene_file.read_scene(tmp_path / "x.wav").samples, expected)
    # Twelve channels are no scene, whatever the switch says
    twelve = replace(head, channels=12, mapping=head.mapping[:12])
    (tmp_path / "x.opus").write_bytes(b"".join(ogg_opus.write(twelve, tags, packets, length)))
    with pytest.raises(InputError, match="12 channels are not Ambisonics"):
        decoded("--family-255")
