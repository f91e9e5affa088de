"""Everywhere that a scene is read: what its file says is used, its parts are joined, loudspeakers are refused."""

import struct
import sys

import numpy as np
import pytest

from analysis.metrics.evaluation import items_of_files, measure_items
from codec.checkpoints.model_file import save
from codec.coding.files import EncodeOptions, encode_file
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from listening.opus_codec.codec import OpusSettings
from listening.opus_codec.file_coding import encode_file as encode_opus
from listening.opus_codec.libopus import library
from listening.stimulus_build.executors import parse_engine
from listening.stimulus_build.plan_builder import prepare_input
from listening.test_design.items import named_files
from render.common.errors import InputError
from render.fileio.adm_bw64 import export_adm
from render.fileio.audio_file import read, write_feed, write_scene, writer
from render.headphones.renderer import binaural_file
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics
from render.loudspeakers.renderer import Decoding, FeedFormat, decode_file
from stimuli.eigenscape.sources import find_sources
from stimuli.preparation.conversion import PreparationSettings, prepare_file

N3D = sn3d_to_n3d(3)[:, None].astype(np.float32)
RATE_HZ = 44_100


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One scene: plain, with an N3D tag, split into parts, and as loudspeakers by its mask."""
    folder = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(1)
    waves = spherical_harmonics(3, *fibonacci_sphere(30))
    samples = (0.01 * waves.T @ random.standard_normal((30, RATE_HZ // 2))).astype(np.float32)
    write_scene(folder / "plain.wav", Scene(samples, RATE_HZ))
    write_scene(folder / "n3d.caf", Scene(samples * N3D, RATE_HZ))
    raw = (folder / "n3d.caf").read_bytes()
    at = raw.index(b"data")
    chan = b"chan" + struct.pack(">qIII", 12, 191 << 16 | 16, 0, 0)
    (folder / "n3d.caf").write_bytes(raw[:at] + chan + raw[at:])
    for name, part in (("split_01-08ch", samples[:8]), ("split_09-16ch", samples[8:])):
        with writer(folder / f"{name}.wav", 8, RATE_HZ, "FLOAT") as file:
            file.write(part)
    with writer(folder / "mask.wav", 16, RATE_HZ, "FLOAT", channel_mask=0x2D63F) as file:
        file.write(samples)
    with writer(folder / "eighteen.wav", 18, RATE_HZ, "FLOAT") as file:
        file.write(np.concatenate((samples, samples[:2])))
    return folder


def decoded(source, folder):
    decode_file(source, folder / "feed.wav", Decoding(layout("7.1.4")), FeedFormat("FLOAT"))
    return read(folder / "feed.wav")[0]


def on_headphones(source, folder):
    binaural_file(source, folder / "ears.wav", subtype="FLOAT")
    return read(folder / "ears.wav")[0]


def as_adm(source, folder):
    export_adm(source, folder / "adm.wav")
    return read(folder / "adm.wav")[0]


def prepared(source, folder):
    prepare_file(source, folder / "prepared.wav", PreparationSettings(bits=24, gain_db=0.0))
    return read(folder / "prepared.wav")[0]


def as_item(source, folder):
    (item,) = prepare_input(named_files([str(source)]), folder, parse_engine("inline", 1, folder))
    return read(item.path)[0]


def measured(source, folder):
    return list(measure_items(items_of_files(source.with_name("plain.wav"), [source]), 1, False))


READERS = [decoded, on_headphones, as_adm, prepared, as_item]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["n3d.caf", "split_01-08ch.wav", "split_09-16ch.wav"])
def test_the_scene_is_the_same_however_its_file_holds_it(files, tmp_path, reader, name):
    expected = reader(files / "plain.wav", tmp_path / "a")
    tolerance = {"prepared": 4e-7, "as_item": 4e-4}.get(reader.__name__, 2e-7)  # dither
    np.testing.assert_allclose(reader(files / name, tmp_path / "b"), expected, atol=tolerance)


@pytest.mark.parametrize("reader", [*READERS, measured])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mask.wav", "mask.wav: channel mask 0x2d63f says that the 16 channels are loudspeakers"),
        (
            "eighteen.wav",
            "18 channels are not .* 2 more than the 16 of order 3, probably a head-locked",
        ),
    ],
)
def test_what_is_no_scene_is_refused_and_leaves_nothing(files, tmp_path, reader, name, message):
    with pytest.raises(InputError, match=message):
        reader(files / name, tmp_path)
    assert not list(tmp_path.rglob("*.wav"))


def test_measures_see_no_difference_in_the_convention_of_a_file(files, tmp_path):
    for name in ("n3d.caf", "split_09-16ch.wav"):
        (row,) = measure_items(items_of_files(files / "plain.wav", [files / name]), 1, False)
        assert row["values"]["lsd_db"] < 1e-3
    # Both parts are one test
    parts = [files / "split_01-08ch.wav", files / "split_09-16ch.wav"]
    assert [list(item.tests) for item in items_of_files(files / "plain.wav", parts)] == [["split"]]


def small_model(**config):
    sizes = dict(encoder_dim=4, decoder_dim=32, latent_dim=8, codebooks=2, codebook_size=64, dilations=(1, 3))
    return RVQGAN(ModelConfig(**(sizes | config))).fold_weight_norm().eval().requires_grad_(False)


def test_the_codec_encodes_the_same_scene(files, tmp_path):
    model = small_model()

    def encoded(name):
        encode_file(files / name, tmp_path / f"{name}.arvq", model, bytes(16), EncodeOptions(None, False, False))
        return (tmp_path / f"{name}.arvq").read_bytes()

    assert encoded("split_01-08ch.wav") == encoded("plain.wav")
    n3d, plain = encoded("n3d.caf"), encoded("plain.wav")
    assert sum(a != b for a, b in zip(n3d, plain, strict=True)) < 20  # checksums of samples that were rounded
    for name, message in (("mask.wav", "are loudspeakers"), ("eighteen.wav", "head-locked")):
        with pytest.raises(InputError, match=message):
            encoded(name)


def test_the_codec_of_a_layout_takes_the_order_from_the_mask(tmp_path):
    model = small_model(channels=12, layout="7.1.4")
    samples = (0.05 * np.random.default_rng(0).standard_normal((12, 20_000))).astype(np.float32)
    for order in ("bs2051", "wav"):
        write_feed(tmp_path / f"{order}.wav", Feed(samples, RATE_HZ, layout("7.1.4")), "FLOAT", order)
        options = EncodeOptions(None, False, False)
        encode_file(tmp_path / f"{order}.wav", tmp_path / f"{order}.arvq", model, bytes(16), options)
    assert (tmp_path / "bs2051.arvq").read_bytes() == (tmp_path / "wav.arvq").read_bytes()


def test_the_command_takes_both_parts_for_one_input(files, tmp_path, monkeypatch):
    from codec.encode import main

    save(tmp_path / "model.safetensors", small_model(), {})
    parts = [str(files / f"split_{span}ch.wav") for span in ("01-08", "09-16")]
    words = [*parts, "-o", str(tmp_path / "x.arvq"), "--model", str(tmp_path / "model.safetensors")]
    monkeypatch.setattr(sys, "argv", ["codec.encode", *words])
    main()
    assert [path.name for path in tmp_path.glob("*.arvq")] == ["x.arvq"]


def test_opus_encodes_the_scene_that_the_parts_make_up(files, tmp_path):
    try:
        library()
    except InputError:
        pytest.skip("libopus is not installed")
    for name in ("plain.wav", "split_09-16ch.wav"):
        encode_opus(files / name, tmp_path / f"{name}.opus", OpusSettings())
    assert (tmp_path / "plain.wav.opus").read_bytes() == (tmp_path / "split_09-16ch.wav.opus").read_bytes()


def test_the_parts_of_a_scene_are_one_recording_of_a_folder(files):
    names = [source.name for source in find_sources(files)]
    assert names == ["eighteen.wav", "mask.wav", "n3d.wav", "plain.wav", "split.wav"]
