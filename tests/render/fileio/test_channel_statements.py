"""What files say about their channels, written here by the letter of their formats."""

import struct

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import info, read, write_scene, writer
from render.fileio.channel_statements import Component
from render.fileio.scene_file import read_scene, scene_info
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import sn3d_to_n3d

# Furse-Malham's channels W X Y Z R S T U V K L M N O P Q and the gain that makes each SN3D (Malham 2003)
FUMA_ACN = (0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9)
FUMA_GAINS = np.sqrt([2, 1, 1, 1, 1, 3 / 4, 3 / 4, 3 / 4, 3 / 4, 1, 32 / 45, 32 / 45, 5 / 9, 5 / 9, 5 / 8, 5 / 8])


def scene(order=3, length=300):
    samples = 0.05 * np.random.default_rng(order).standard_normal(((order + 1) ** 2, length))
    return Scene(samples.astype(np.float32), 48000)


def caf(path, samples, tag, labels=(), bitmap=0):
    """A CAF file of floats with a channel layout chunk."""
    layout = struct.pack(">III", tag, bitmap, len(labels))
    layout += b"".join(struct.pack(">III3f", label, 0, 0, 0, 0, 0)[:20] for label in labels)
    write_scene(path, Scene(samples, 48000), force=True)
    raw = path.read_bytes()
    at = raw.index(b"data")
    path.write_bytes(raw[:at] + b"chan" + struct.pack(">q", len(layout)) + layout + raw[at:])
    return path


def bw64(path, samples, tracks, axml="", behind=False):
    """A BW64 file with a chna chunk of (track, track format, pack format) and axml, before or after samples."""
    rows = b"".join(
        struct.pack("<H12s14s11sx", track, f"ATU_{track:08x}".encode(), form.encode(), pack.encode())
        for track, form, pack in tracks
    )
    chna = struct.pack("<HH", len(tracks), len(tracks)) + rows
    chunks = b"chna" + struct.pack("<I", len(chna)) + chna
    chunks += b"axml" + struct.pack("<I", len(axml)) + axml.encode() + bytes(len(axml) % 2)
    with writer(path, len(samples), 48000, "FLOAT", True, chunks=b"" if behind else chunks) as file:
        file.write(samples)
    if behind:
        path.write_bytes(path.read_bytes() + chunks)
    return path


def amb(path, samples, mask=0):
    """A B-format file as Dobson's tools write it: WAVEFORMATEXTENSIBLE with a GUID of its own."""
    with writer(path.with_suffix(".wav"), len(samples), 48000, "FLOAT", True, mask) as file:
        file.write(samples)
    raw = path.with_suffix(".wav").read_bytes()
    plain = bytes.fromhex("000000001000800000aa00389b71")
    assert raw.count(plain) == 1
    path.write_bytes(raw.replace(plain, bytes.fromhex("00002107d3118644c8c1ca000000")))
    return path


def n3d(samples):
    return (samples * sn3d_to_n3d(round(len(samples) ** 0.5) - 1)[:, None]).astype(np.float32)


def fuma(samples):
    return (samples[list(FUMA_ACN[: len(samples)])] / FUMA_GAINS[: len(samples), None]).astype(np.float32)


def test_what_a_file_says_of_its_convention_is_used(tmp_path):
    for order in (1, 2, 3):
        true = scene(order)
        channels = len(true.samples)
        packs = [
            (acn + 1, f"AT_0004{0x101 + acn:04x}_01", f"AP_0004{0x10 + order:04x}") for acn in range(channels)
        ]
        # The common definitions have FuMa's components in ACN order
        gains = np.empty(channels)
        gains[list(FUMA_ACN[:channels])] = FUMA_GAINS[:channels]
        maxn = (true.samples / gains[:, None]).astype(np.float32)
        adm_fuma = [
            (acn + 1, f"AT_0004{0x201 + acn:04x}_01", f"AP_0004{0x20 + order:04x}") for acn in range(channels)
        ]
        files = {
            "ACN/SN3D": caf(tmp_path / "a.caf", true.samples, 190 << 16 | channels),
            "ACN/N3D": caf(tmp_path / "b.caf", n3d(true.samples), 191 << 16 | channels),
            "FuMa": amb(tmp_path / "c.amb", fuma(true.samples)),
            "ACN/N3D ": bw64(tmp_path / "d.wav", n3d(true.samples), packs),
            "ACN/N3D  ": bw64(tmp_path / "e.wav", n3d(true.samples), packs, behind=True),
            "as described by ADM or CAF": bw64(tmp_path / "f.wav", maxn, adm_fuma),
        }
        for name, path in files.items():
            assert scene_info(path).convention == name.strip()
            np.testing.assert_allclose(read_scene(path).samples, true.samples, atol=1e-6)


def test_labels_of_single_channels_tell_order_and_normalisation(tmp_path):
    true = scene(1)
    path = caf(tmp_path / "a.caf", n3d(true.samples)[::-1], 0, [3 << 16 | acn for acn in (3, 2, 1, 0)])
    np.testing.assert_allclose(read_scene(path).samples, true.samples, atol=1e-6)
    path = caf(tmp_path / "b.caf", fuma(true.samples), 0, [200, 201, 202, 203])
    np.testing.assert_allclose(read_scene(path).samples, true.samples, atol=1e-6)
    path = caf(tmp_path / "c.caf", fuma(true.samples), 107 << 16 | 4)
    np.testing.assert_allclose(read_scene(path).samples, true.samples, atol=1e-6)


def definitions(normalisations, prefix=""):
    """HOA channel formats of a document's own, in reversed ACN order, each with its stream and track format."""
    text = ""
    for index, normalisation in enumerate(normalisations):
        order = int(index**0.5)
        number = f"0004{0x1001 + index:04x}"
        said = f"<{prefix}normalization>{normalisation}</{prefix}normalization>" if normalisation else ""
        text += (
            f'<{prefix}audioChannelFormat audioChannelFormatID="AC_{number}" typeLabel="0004">'
            f"<{prefix}audioBlockFormat><{prefix}degree> {index - order * order - order} </{prefix}degree>"
            f"<{prefix}order>{order}</{prefix}order>"
            f"{said}</{prefix}audioBlockFormat></{prefix}audioChannelFormat>"
            f'<{prefix}audioStreamFormat audioStreamFormatID="AS_{number}">'
            f"<{prefix}audioChannelFormatIDRef>AC_{number}</{prefix}audioChannelFormatIDRef></{prefix}audioStreamFormat>"
            f'<{prefix}audioTrackFormat audioTrackFormatID="AT_0004{0x2001 + index:04x}_01">'
            f"<{prefix}audioStreamFormatIDRef>AS_{number}</{prefix}audioStreamFormatIDRef></{prefix}audioTrackFormat>"
        )
    namespace = ' xmlns:x="urn:x"' if prefix else ""
    return f"<ebuCoreMain{namespace}>{text}</ebuCoreMain>"


@pytest.mark.parametrize("prefix", ["", "x:"])
def test_own_definitions_of_a_document_are_followed_from_track_to_channel(tmp_path, prefix):
    true = scene(1)
    tracks = [(4 - acn, f"AT_0004{0x2001 + acn:04X}_01", "AP_00041001") for acn in range(4)]
    path = bw64(tmp_path / "a.wav", n3d(true.samples)[::-1], tracks, definitions(4 * ["N3D"], prefix))
    np.testing.assert_allclose(read_scene(path).samples, true.samples, atol=1e-6)
    path = bw64(tmp_path / "b.wav", true.samples[::-1], tracks, definitions(4 * [""], prefix))
    assert scene_info(path).components[0] == Component(3, "SN3D")
    for text in ("", "<a>", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', definitions(4 * ["SID"])):
        path = bw64(tmp_path / "c.wav", true.samples, tracks, text)
        with pytest.raises(InputError, match="ADM description says that the 4 channels are components of orders"):
            scene_info(path)
        path.unlink()


def test_loudspeakers_offered_as_a_scene_are_refused_with_what_says_so(tmp_path):
    samples = scene().samples
    with writer(tmp_path / "mask.wav", 16, 48000, "FLOAT", channel_mask=0x2D63F) as file:
        file.write(samples)
    files = {
        "channel mask 0x2d63f": tmp_path / "mask.wav",
        r"CAF layout tag 0xc10010 \(loudspeakers\)": caf(tmp_path / "atmos.caf", samples, 193 << 16 | 16),
        "channel mask 0x3f": caf(tmp_path / "bitmap.caf", samples, 1 << 16, bitmap=0x3F),
        "CAF channel labels": caf(tmp_path / "labels.caf", samples, 0, range(1, 17)),
        "ADM description": bw64(tmp_path / "adm.wav", samples, [(1, "AT_00010001_01", "AP_00010002")]),
    }
    for source, path in files.items():
        with pytest.raises(
            InputError, match=f"{path.name}: .*{source} says that the 16 channels are loudspeakers"
        ):
            scene_info(path)
        # The user may know better
        assert scene_info(path, "sn3d").contradiction
        np.testing.assert_array_equal(read(path)[0], samples)
    path = bw64(tmp_path / "objects.wav", samples, [(1, "AT_00031001_01", "AP_00031001")])
    with pytest.raises(InputError, match="says that the 16 channels are objects"):
        scene_info(path)


def test_statements_that_contradict_each_other_or_are_not_one_scene_are_refused(tmp_path):
    samples = scene().samples
    with pytest.raises(InputError, match="channel mask 0x33 says that the 4 channels are loudspeakers"):
        scene_info(amb(tmp_path / "a.amb", samples[:4], mask=0x33))
    with pytest.raises(
        InputError, match="describes 16 Ambisonic components, which are not the 16 of order 3, each"
    ):
        scene_info(caf(tmp_path / "a.caf", samples, 0, [2 << 16 | acn // 2 for acn in range(16)]))
    with pytest.raises(InputError, match="describes 4 Ambisonic components, which are not the 16 of order 3"):
        scene_info(
            bw64(tmp_path / "a.wav", samples, [(t, f"AT_0004{t:04x}_01", "AP_00040001") for t in (1, 2, 3, 4)])
        )
    with pytest.raises(InputError, match="gives track 1 two formats"):
        info(bw64(tmp_path / "b.wav", samples, [(1, "AT_00040001_01", ""), (1, "AT_00040101_01", "")]))
    with pytest.raises(InputError, match="FuMa, which is defined up to order 3"):
        scene_info(amb(tmp_path / "b.amb", scene(4).samples))


def test_a_file_that_leaves_its_channels_open_is_taken_for_ambix(tmp_path):
    samples = scene().samples
    files = [
        caf(tmp_path / "discrete.caf", samples, 147 << 16 | 16),
        caf(tmp_path / "unknown.caf", samples, 0xFFFF0010),
        caf(tmp_path / "labels.caf", samples, 0, 16 * [0xFFFFFFFF]),
        caf(tmp_path / "discrete labels.caf", samples, 0, [1 << 16 | n for n in range(16)]),
    ]
    with writer(tmp_path / "all.wav", 16, 48000, "FLOAT", channel_mask=0x80000000) as file:
        file.write(samples)
    for path in [*files, tmp_path / "all.wav"]:
        assert info(path).statements == ()
        np.testing.assert_array_equal(read_scene(path).samples, samples)
    # One channel in front is a mono file, and order 0
    with writer(tmp_path / "mono.wav", 1, 48000, "FLOAT", channel_mask=4) as file:
        file.write(samples[:1])
    assert scene_info(tmp_path / "mono.wav").ambisonic_order == 0
