"""ADM BW64 files, checked chunk by chunk and with the EBU's renderer."""

import shutil
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.adm_bw64 import export_adm
from render.fileio.audio_file import info, read, write_feed, write_scene
from render.hoa.layout import Layout, layout
from render.hoa.scene import Scene
from render.loudspeakers.renderer import decode


def scene(order=3, length=4801):
    samples = 0.05 * np.random.default_rng(order).standard_normal(((order + 1) ** 2, length))
    return Scene(samples.astype(np.float32), 48000)


def chunks(path):
    """Chunks of a BW64 file, read by the letter of BS.2088: 32-bit sizes, but that of data in ds64."""
    content = path.read_bytes()
    assert (content[:4], content[8:12]) == (b"BW64", b"WAVE")
    found, position, long_bytes = {}, 12, None
    while position < len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        if name == b"ds64":
            riff_bytes, long_bytes = struct.unpack_from("<QQ", content, position + 8)
            assert riff_bytes == len(content) - 8
        size = long_bytes if name == b"data" else size
        found[name.decode()] = content[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return found


def tracks(chna):
    count, uids = struct.unpack_from("<HH", chna)
    rows = [struct.unpack_from("<H12s14s11sx", chna, 4 + 40 * i) for i in range(count)]
    assert len(chna) == 4 + 40 * uids
    return [(index, uid.decode(), track.decode(), pack.decode()) for index, uid, track, pack in rows]


def document(axml):
    return ElementTree.fromstring(axml), "{urn:ebu:metadata-schema:ebuCore_2015}"  # noqa: S314


def test_a_scene_refers_to_the_common_definitions_track_by_track(tmp_path):
    write_scene(tmp_path / "a & <b>.wav", scene(), "PCM_24")
    export_adm(tmp_path / "a & <b>.wav", tmp_path / "adm.wav")
    found = chunks(tmp_path / "adm.wav")
    # BS.2094: SN3D channels in ACN order from AC_00040001, third order is pack AP_00040003
    assert tracks(found["chna"])[0] == (1, "ATU_00000001", "AT_00040001_01", "AP_00040003")
    assert tracks(found["chna"])[15] == (16, "ATU_00000010", "AT_00040010_01", "AP_00040003")
    root, ns = document(found["axml"])
    assert root.find(f".//{ns}audioProgramme").get("audioProgrammeName") == "a & <b>"
    assert root.find(f".//{ns}audioProgramme").get("end") == "00:00:00.10003"
    assert len(root.findall(f".//{ns}audioObject/{ns}audioTrackUIDRef")) == 16
    assert {uid.get("UID") for uid in root.iter(f"{ns}audioTrackUID")} == {row[1] for row in tracks(found["chna"])}
    np.testing.assert_array_equal(read(tmp_path / "adm.wav")[0], read(tmp_path / "a & <b>.wav")[0])
    assert info(tmp_path / "adm.wav").container == "BW64"


def test_a_feed_keeps_labels_and_measured_positions(tmp_path):
    moved = replace(layout("5.1").loudspeakers[0], azimuth_deg=27.5)
    room = Layout("0+5+0", (moved, *layout("5.1").loudspeakers[1:]))
    write_feed(tmp_path / "feed.wav", decode(scene(), room))
    export_adm(tmp_path / "feed.wav", tmp_path / "adm.wav", room)
    found = chunks(tmp_path / "adm.wav")
    root, ns = document(found["axml"])
    formats = {f.get("audioChannelFormatID"): f for f in root.iter(f"{ns}audioChannelFormat")}
    listed = [ref.text for ref in root.findall(f".//{ns}audioPackFormat/{ns}audioChannelFormatIDRef")]
    labels = [formats[name].find(f".//{ns}speakerLabel").text for name in listed]
    assert labels == list(room.labels)
    assert formats[listed[0]].find(f".//{ns}position[@coordinate='azimuth']").text == "27.500"
    assert formats[listed[3]].find(f"{ns}frequency").get("typeDefinition") == "lowPass"
    assert formats[listed[0]].find(f"{ns}frequency") is None
    # Every track of the file leads to one channel, in order
    streams = {s.get("audioStreamFormatID"): s for s in root.iter(f"{ns}audioStreamFormat")}
    formats_of_tracks = {t.get("audioTrackFormatID"): t for t in root.iter(f"{ns}audioTrackFormat")}
    reached = [
        streams[formats_of_tracks[track].find(f"{ns}audioStreamFormatIDRef").text]
        .find(f"{ns}audioChannelFormatIDRef")
        .text
        for _, _, track, _ in tracks(found["chna"])
    ]
    assert reached == listed


@pytest.mark.skipif(not shutil.which("ear-render"), reason="the EBU ADM Renderer is not installed")
def test_the_ebu_renderer_takes_both(tmp_path):
    """Its 24-bit output is truncated and its decoder 1e-4 from ours; loudspeaker signals pass as they are."""
    write_scene(tmp_path / "scene.wav", scene(length=48000), "PCM_24")
    write_feed(tmp_path / "feed.wav", decode(scene(length=48000), layout("7.1.4")))
    export_adm(tmp_path / "scene.wav", tmp_path / "scene_adm.wav")
    export_adm(tmp_path / "feed.wav", tmp_path / "feed_adm.wav", layout("7.1.4"))
    for name in ("scene", "feed"):
        command = ["ear-render", "-s", "4+7+0", tmp_path / f"{name}_adm.wav", tmp_path / f"{name}_ear.wav"]
        subprocess.run(command, check=True, capture_output=True)
    feed, _ = read(tmp_path / "feed.wav")
    np.testing.assert_allclose(read(tmp_path / "scene_ear.wav")[0], feed, atol=2e-4)
    np.testing.assert_array_equal(read(tmp_path / "feed_ear.wav")[0], feed)


def test_what_adm_cannot_say_is_refused(tmp_path):
    write_scene(tmp_path / "a.wav", scene(order=0))
    with pytest.raises(InputError, match=r"order 0; BS\.2094 defines HOA packs of order 1 to 6"):
        export_adm(tmp_path / "a.wav", tmp_path / "b.wav")
    write_scene(tmp_path / "c.wav", scene(order=1))
    with pytest.raises(InputError, match=r"4 channels, but layout 0\+5\+0 has 6"):
        export_adm(tmp_path / "c.wav", tmp_path / "b.wav", layout("5.1"))
    with pytest.raises(InputError, match=r"whose suffix is \.wav"):
        export_adm(tmp_path / "c.wav", tmp_path / "b.w64")
    assert not (tmp_path / "b.wav").exists()
