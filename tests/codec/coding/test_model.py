"""The codec as one object: the bytes of the command, tokens and what is absent, and no silent error."""

import numpy as np
import pytest
import torch

from codec.bitstream.file import read_header, read_packets
from codec.bitstream.format import ABSENT
from codec.checkpoints import model_file
from codec.coding.model import Model, Stream, load
from codec.coding.pipeline import decode, encode
from render.common.errors import InputError
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene

DIGEST = b"modelsha"


@pytest.fixture(scope="module", params=["identity", "side information"])
def codec(request, model, side_info_model):
    return Model(model if request.param == "identity" else side_info_model, DIGEST)


@pytest.fixture(scope="module")
def scene():
    """600 frames, which are two packets."""
    noise = 0.1 * np.random.default_rng(3).standard_normal((4, 600 * 512 - 100))
    return Scene(noise.astype(np.float32), 44_100)


def test_streams_are_those_of_the_pipeline(codec, scene, tmp_path):
    stream = codec.encode(scene)
    assert stream.data == encode(codec._network, DIGEST, scene)
    assert stream.changes == ()
    assert stream.kbps == pytest.approx(8 * len(stream.data) / scene.duration_s / 1000)
    expected = decode(codec._network, DIGEST, stream.data).samples
    np.testing.assert_array_equal(codec.decode(stream).samples, expected)
    stream.save(tmp_path / "x.arvq")
    np.testing.assert_array_equal(codec.decode(Stream.open(tmp_path / "x.arvq")).samples, expected)
    assert codec.encode(scene, kbps=stream.kbps).data == stream.data
    assert codec.encode(scene, 2).header.codebooks == 2
    assert codec.decode(stream, 22_050).samples.shape == (4, scene.length // 2)


def test_tokens_are_the_codes_of_the_file_and_decode_to_the_same_samples(codec, scene, tmp_path):
    stream = codec.encode(scene, coefficients=False)
    stream.save(tmp_path / "x.arvq")
    with open(tmp_path / "x.arvq", "rb") as file:
        header = read_header(file, "x")
        codes = np.concatenate([packet.codes for packet in read_packets(file, header, "x")], axis=1)
    for tokens in (codec.tokens(stream), codec.tokens(scene)):
        assert tokens.codes.dtype == torch.int64
        assert tokens.mask.dtype == torch.bool
        np.testing.assert_array_equal(tokens.mask.numpy(), codes != ABSENT)
        np.testing.assert_array_equal(tokens.codes.numpy(), np.where(codes == ABSENT, 0, codes))
        assert bool(tokens.mask.all()) == (not header.has_side_info)
        np.testing.assert_array_equal(codec.decode(tokens).samples, codec.decode(stream).samples)
    assert tokens.frame_rate_hz == 44_100 / 512


def test_other_codes_in_the_same_scene(codec, scene):
    tokens = codec.tokens(scene)
    few = codec.decode(tokens.with_codes(tokens.codes[:1])).samples
    np.testing.assert_array_equal(few, codec.decode(codec.encode(scene, 1, coefficients=False)).samples)
    reversed_codes = tokens.with_codes(tokens.codes.flip(1))
    assert np.abs(codec.decode(reversed_codes).samples - codec.decode(tokens).samples).max() > 1e-6
    assert (reversed_codes.codes[~tokens.mask] == 0).all()
    bad = tokens.codes.clone()
    bad[0, 0] = 64
    for codes, message in (
        (bad, "integers from 0 to 63"),
        (bad - 65, "integers from 0 to 63"),
        (bad.float(), "integers from 0 to 63"),
        (tokens.codes[:, :-1], "the scene has"),
        (torch.cat([tokens.codes, tokens.codes]), "the scene has"),
    ):
        with pytest.raises(InputError, match=message):
            tokens.with_codes(codes)


def test_other_rates_and_orders_come_back_as_from_the_command(codec):
    noise = 0.1 * np.random.default_rng(4).standard_normal((30_001, 9))
    stream = codec.encode(Scene.from_array(noise, 48_000, axes="time channel"))
    assert stream.changes == ("kept the first 4 of 9 channels, order 1 of 2", "resampled from 48000 to 44100 Hz")
    decoded = codec.decode(stream)
    assert (decoded.samples.shape, decoded.sample_rate_hz) == ((4, 30_001), 48_000)
    assert codec.decode(stream, 44_100).length == stream.header.length


def test_loudspeaker_signals_come_back_as_such(codec_of):
    codec = Model(codec_of(channels=6, layout="5.1"), DIGEST)
    samples = 0.1 * np.random.default_rng(6).standard_normal((6, 9000)).astype(np.float32)
    feed = Feed(samples, 48_000, layout("5.1"))
    decoded = codec.decode(codec.encode(feed))
    assert isinstance(decoded, Feed)
    assert (decoded.layout.name, decoded.samples.shape, decoded.sample_rate_hz) == ("0+5+0", (6, 9000), 48_000)
    with pytest.raises(InputError, match=r"signal: ambiX, the model codes 0\+5\+0"):
        codec.encode(Scene(samples[:4], 48_000))


def test_what_cannot_be_coded_is_refused(codec, scene):
    with pytest.raises(InputError, match="give codebooks or kbps, not both"):
        codec.encode(scene, 2, kbps=10)
    with pytest.raises(InputError, match=r"no rate up to 0\.1 kbit/s can be reached; there are"):
        codec.encode(scene, kbps=0.1)
    with pytest.raises(InputError, match=r"signal: 0\+5\+0, the model codes ambiX"):
        codec.encode(Feed(np.zeros((6, 100), np.float32), 44_100, layout("5.1")))
    with pytest.raises(InputError, match="1 channels, the model codes 4"):
        codec.encode(Scene(scene.samples[:1], 44_100))
    with pytest.raises(InputError, match="5 codebooks; the model has 1 to 4"):
        codec.tokens(scene, 5)
    with pytest.raises(InputError, match="the stream has 4 codebooks, not 2"):
        codec.tokens(codec.encode(scene), 2)
    other = Model(codec._network, b"another1").encode(scene)
    for verb in (codec.decode, codec.tokens):
        with pytest.raises(InputError, match="coded with the model whose SHA-256 begins with"):
            verb(other)


def test_a_network_read_from_a_file_for_a_front_end_refuses_channels(model, side_info_model, tmp_path):
    for name, network, refuses in (("plain", model, False), ("side", side_info_model, True)):
        path = tmp_path / f"{name}.safetensors"
        model_file.save(path, network, {})
        loaded, digest = model_file.load(path)
        assert load(path).digest == digest.hex()
        audio = torch.zeros(1, 4, 1024)
        for use in (loaded, loaded.encode, lambda x, of=loaded: of.decode(torch.zeros(1, 4, 2, dtype=torch.long))):
            if refuses:
                with pytest.raises(InputError, match="what its front end makes of the channels"):
                    use(audio)
            else:
                use(audio)
