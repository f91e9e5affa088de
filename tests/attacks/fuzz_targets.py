"""What is attacked: each reader with small valid files, and how these are changed under right checksums."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import struct
import sys
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

INTEGERS = (
    0, 1, 2, 3, 4, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFF000, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1
)  # fmt: skip
WORDS = (
    b'"', b"'", b",", b";", b"\t", b"\n", b"\r", b"\0", b"{", b"}", b"[", b"]", b"=", b":", b"<", b">", b"&", b"-",
    b".", b"nan", b"NaN", b"Infinity", b"-1", b"1e999", b"0", b"101", b"99,5", b"9" * 400, b"null", b"true", b"NA",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"../", b"/", "\u202e".encode(), "e\u0301".encode(),
    "²".encode(), b"[[[[[[[[", b"sep=;\n", b"#", b"\\", b" ", b"1979-05-27", b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
)  # fmt: skip
VALUES = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf"), "", "x", "href",
    "../x", "\0", "1e5", "\ud800", "\u202e", [], {}, [[]], [1, 2], ["a"], {"a": 1}, {"": {}},
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A reader under attack.

    Attributes
    ----------
    seeds
        Valid files that the attack begins with.
    read
        Reads the file at a path; `InputError` is its answer to a bad one.
    mutate
        Makes a hostile file from (random numbers, a valid file, all of them).
    name
        Of the file that is written.
    """

    seeds: list[bytes]
    read: Callable[[Path], object]
    mutate: Callable[[Random, bytes, list[bytes]], bytes]
    name: str


def changed(random, data, others, words=(), low=0, times=4):
    """Change up to `times` places from byte `low` on: bits, integers, words; lost, repeated and foreign parts."""
    data = bytearray(data)
    for _ in range(random.randrange(1, times + 1)):
        if len(data) <= low:
            return bytes(data)
        at, length = random.randrange(low, len(data)), random.randrange(1, 24)
        kind = random.randrange(9 if words else 7)
        if kind == 0:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at] = random.randrange(256)
        elif kind == 2:
            size = random.choice((1, 2, 4, 8))
            number = random.choice(INTEGERS) % 256**size
            data[at : at + size] = number.to_bytes(size, random.choice(("little", "big")))
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5 and random.randrange(8) == 0:
            del data[at:]
        elif kind == 6 and random.randrange(4) == 0:
            other = random.choice(others)
            data[at:] = other[min(at, len(other)) :]
        else:
            data[at : at + length * (kind == 8)] = random.choice(words) if words else random.randbytes(2)
    return bytes(data)


def changed_bytes(random, data, others):
    return changed(random, data, others)


def changed_head(random, data, others):
    """Most changes where the description of the samples is."""
    if random.randrange(3) == 0:
        return changed(random, data, others)
    head = int(min(len(data), 240))
    return changed(random, data[:head], others) + data[head:]


def changed_text(random, data, others):
    return changed(random, data, others, WORDS)


def changed_json(random, data, others):
    """As text, or another value in any place of the tree, which stays JSON."""
    if random.randrange(3) == 0:
        return changed_text(random, data, others)
    content = json.loads(data)
    for _ in range(random.randrange(1, 3)):
        parent, at = None, content
        while isinstance(at, dict | list) and at and random.randrange(5):
            parent, key = (
                at,
                list(at)[random.randrange(len(at))] if isinstance(at, dict) else random.randrange(len(at)),
            )
            at = at[key]
        value = copy.deepcopy(random.choice(VALUES))
        if parent is None:
            continue
        if random.randrange(6) == 0:
            del parent[key]
        elif random.randrange(6) == 0 and isinstance(parent, dict):
            parent[str(value)[:20]] = at
        else:
            parent[key] = value
    return json.dumps(content).encode()


# ----------------------------------------------------------------------------------------- streams of the codec


def arvq():
    """Headers and packets are changed under their CRCs."""
    from codec.bitstream.file import read_header, read_intact_packets, read_packets, write_stream
    from codec.bitstream.format import CRC, HEADER_BYTES, NO_ORIGIN, Header, Origin, Packet, parse_header
    from codec.bitstream.rates import rates_text, replaced_text
    from codec.bitstream.sizes import slot_counts
    from codec.side_info.parameter_coding import decode_parameters

    def stream(seed, channels, frames, side, coded, layout, origin=NO_ORIGIN):
        header = Header(
            b"modelsha", 44_100, channels, 2, 2, 4, 512, 0, frames * 512, 1, layout, side, coded, origin
        )
        random, file = np.random.default_rng(seed), io.BytesIO()
        packets = [
            Packet(
                np.where(
                    np.arange(2 * n).reshape(2, n) < 2 * n - header.absent_codes(n),
                    random.integers(0, 16, (2, n)),
                    -1,
                ),
                random.bytes(header.side_info_bytes(n)),
            )
            for n in header.packet_frame_counts
        ]
        write_stream(file, header, packets)
        return file.getvalue()

    def mutate(random, data, others):
        data = bytearray(data)
        if random.randrange(2):
            data[: HEADER_BYTES - 4] = changed(random, bytes(data[: HEADER_BYTES - 4]), [data])[:52].ljust(
                52, b"\0"
            )
        data[HEADER_BYTES:] = changed(random, bytes(data[HEADER_BYTES:]), [o[HEADER_BYTES:] for o in others])
        if random.randrange(8):
            data[HEADER_BYTES - 4 : HEADER_BYTES] = CRC.pack(zlib.crc32(data[: HEADER_BYTES - 4]))
        try:
            header = parse_header(bytes(data[:HEADER_BYTES]), "x")
        except Exception:  # the reader's answer is judged where it reads the file
            return bytes(data)
        if header.max_bytes > 20_000 or random.randrange(4) == 0:
            return bytes(data)
        if not header.range_coded:  # the packets' places follow from the header
            data = data.ljust(header.max_bytes, b"\x55")[: header.max_bytes]
            for index in range(header.packets):
                begin, end = header.packed_offset(index), header.packed_offset(index + 1) - CRC.size
                data[end : end + CRC.size] = CRC.pack(header.crc(index, bytes(data[begin:end])))
        elif header.packets == 1:
            content = bytes(data[HEADER_BYTES : -CRC.size])
            data[-CRC.size :] = CRC.pack(header.crc(0, content))
        return bytes(data)

    def read(path):
        with open(path, "rb") as file:
            header = read_header(file, str(path), allow_damage=True)
            assert header.original_rate_hz >= 8_000 or header.origin.sample_rate_hz == 0
            assert header.original_length >= 1
            rates_text(header), replaced_text(header)
            found = list(read_intact_packets(file, header))
            for packet, frames in zip(found, header.packet_frame_counts, strict=True):
                if packet and packet.side_info and header.channels <= 16:
                    level_slots, slots = slot_counts(frames)
                    decode_parameters(packet.side_info, header.channels, (24, level_slots), (12, slots), True)
            file.seek(0)
            list(read_packets(file, read_header(file, str(path)), str(path)))

    seeds = [
        stream(1, 1, 30, False, False, "ambiX"), stream(2, 4, 260, True, False, "ambiX"),
        stream(3, 2, 40, True, True, ""),
        stream(4, 1, 520, False, True, ""), stream(5, 6, 70, True, False, "5.1"),
        stream(6, 1, 30, False, False, "ambiX", Origin(48_000, 1, 4)),
    ]  # fmt: skip
    return Target(seeds, read, mutate, "x.arvq")


def dac():
    from codec.descript.dac_file import read_dac

    seeds = [(GOLDEN / "dac" / name).read_bytes() for name in ("whole.dac", "chunked.dac")]
    return Target(seeds, read_dac, changed_bytes, "x.dac")


def zipped(content, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


def changed_zip(random, data, others):
    """The archive itself, or one of its members under a right CRC."""
    if random.randrange(2):
        return changed_bytes(random, data, others)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
        method = archive.infolist()[0].compress_type
    names = list(content)
    name = random.choice(names) if random.randrange(2) else names[0]
    content[name] = changed_bytes(random, content[name], list(content.values()))
    return zipped(content, method)


def pth():
    from codec.descript.conversion import read_model

    with zipfile.ZipFile(GOLDEN / "dac" / "mono.pth") as file:
        golden = zipped({name: file.read(name) for name in file.namelist()})
    return Target([golden], read_model, changed_zip, "x.pth")


def model():
    """The header of safetensors is JSON behind its length: it is changed as JSON, as text and as bytes."""
    from safetensors.torch import save

    from codec.checkpoints.model_file import load
    from codec.descript.weights import read_published
    from codec.rvqgan.codec import RVQGAN
    from codec.rvqgan.config import ModelConfig
    from render.common.errors import InputError

    config = ModelConfig(channels=2, encoder_dim=2, decoder_dim=16, strides=(2, 4), latent_dim=4, codebooks=2,
                         codebook_size=4, codebook_dim=2, dilations=(1,))  # fmt: skip
    own = save(RVQGAN(config).fold_weight_norm().state_dict(), {"config": json.dumps(config.as_json())})
    published = (GOLDEN / "dac" / "transformers" / "model.safetensors").read_bytes()

    def mutate(random, data, others):
        size = int.from_bytes(data[:8], "little")
        head, rest = data[8 : 8 + size], data[8 + size :]
        if (kind := random.randrange(4)) == 0:
            return changed_bytes(random, data, others)
        if kind == 1 and b'"config"' in head:
            content = json.loads(head)
            settings = changed_json(random, content["__metadata__"]["config"].encode(), [head])
            content["__metadata__"]["config"] = settings.decode("latin-1")
            head = json.dumps(content).encode()
        else:
            head = changed_json(random, head, [head])
        return struct.pack("<Q", len(head)) + head + rest

    def read(path):
        try:
            load(path)
        except InputError:
            read_published(path, 44_100)

    return Target([own, published], read, mutate, "x.safetensors")


# --------------------------------------------------------------------------------------------------- audio files


def audio(suffix, channels=(4,)):
    import tempfile

    from render.fileio.audio_file import info, writer
    from render.fileio.audio_file import read as read_samples

    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        for subtype in ("PCM_16", "PCM_24") if suffix == ".flac" else ("PCM_16", "PCM_24", "FLOAT"):
            for count in channels:
                path = Path(folder) / f"{subtype}-{count}{suffix}"
                with writer(path, count, 48_000, subtype) as file:
                    file.write((0.2 * np.random.default_rng(0).standard_normal((count, 150))).astype(np.float32))
                seeds.append(path.read_bytes())

    def read(path):
        about = info(path)
        if about.length * about.channels < 1_000_000:
            read_samples(path)

    return Target(seeds, read, changed_flac if suffix == ".flac" else changed_head, f"x{suffix}")


def changed_flac(random, data, others):
    """One frame (RFC 9639, clause 9): the CRC-8 of its header and its CRC-16 are made right again."""
    if random.randrange(3) == 0:
        return changed_head(random, data, others)
    at = data.index(b"\xff\xf8", 42)
    if random.randrange(3) == 0:  # STREAMINFO and what is behind it
        return data[:4] + changed(random, data[4:at], [data[4:at]]) + data[at:]
    frame = bytearray(data[at:-2])
    low, high = (0, 12) if random.randrange(2) else (0, len(frame))
    for _ in range(random.randrange(1, 4)):
        frame[random.randrange(low, high)] = random.randrange(256)
    frame[:2] = b"\xff\xf8"
    # behind the coded frame number (one byte for frame 0) may follow block size and sample rate
    size = 5 + {6: 1, 7: 2}.get(frame[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(frame[2] & 15, 0)
    frame[size] = crc(frame[:size], 8, 0x07)
    return data[:at] + bytes(frame) + crc(frame, 16, 0x8005).to_bytes(2, "big")


def crc(data, width, polynomial):
    value = 0
    for byte in data:
        value ^= byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 & 1 else 0)
            value &= (1 << width) - 1
    return value


def opus():
    """Pages are changed under their checksums."""
    from listening.opus_codec import ogg
    from listening.opus_codec.codec import OpusSettings, decode, encode
    from listening.opus_codec.info import inspect
    from render.hoa.scene import Scene

    tone = (0.1 * np.sin(0.06 * np.arange(4000)) * np.ones((4, 1))).astype(np.float32)
    seeds = [encode(Scene(tone, 48_000), OpusSettings(bitrate_bps=rate)) for rate in (6_000, 20_000)]

    def pages(data):
        while len(data) >= 27:
            size = 27 + data[26] + sum(data[27 : 27 + data[26]])
            yield data[:size]
            data = data[size:]

    def mutate(random, data, others):
        if random.randrange(4) == 0:
            return changed_bytes(random, data, others)
        parts = list(pages(data))
        which = random.randrange(len(parts))
        page = changed(random, parts[which], parts, low=4, times=3).ljust(27, b"\0")
        blank = page[:22] + bytes(4) + page[26:]
        parts[which] = page[:22] + struct.pack("<I", ogg.crc32(blank)) + page[26:]
        return b"".join(parts)

    def read(path):
        data = path.read_bytes()
        inspect(data)
        decode(data)

    return Target(seeds, read, mutate, "x.opus")


def parametric():
    """Files of the conditions layer_opus, layer_only, dirac_opus and pca_opus, changed under their CRCs."""
    from listening.conditions import dirac_opus, layer_opus, pca_opus
    from render.hoa.scene import Scene

    noise = (0.05 * np.random.default_rng(0).standard_normal((4, 3000))).astype(np.float32)
    scene = Scene(noise, 16_000)
    codecs = {layer_opus.MAGIC: layer_opus, dirac_opus.MAGIC: dirac_opus, b"PCAO": pca_opus}
    seeds = [layer_opus.encode(scene, 0), layer_opus.encode(scene, 40), dirac_opus.encode(scene, 24)]
    seeds.append(pca_opus.encode(scene, 40))

    def with_changed_packet(random, data):
        """Change one Opus packet of pca_opus and the last byte of its CRC-32 behind it."""
        header = pca_opus.parse_header(data, "x")
        at = pca_opus.HEADER_BYTES + header.bases * header.components * header.channels + 4
        which = random.randrange(header.packets)
        at += sum(header.packet_bytes(index) + 1 for index in range(which))
        packet = data[at : at + header.packet_bytes(which)]
        new = changed(random, packet, [packet])[: len(packet)].ljust(len(packet), b"\0")
        return data[:at] + new + bytes([zlib.crc32(new) & 0xFF]) + data[at + len(new) + 1 :]

    def mutate(random, data, others):
        if data[:4] == b"PCAO":
            return with_changed_packet(random, data) if random.randrange(4) else changed(random, data, others)
        body = data[:-4]
        if random.randrange(2):  # the header
            body = changed(random, body[:28], others, low=4, times=2) + body[28:]
        else:
            body = changed(random, body, others)
        return body + struct.pack("<I", zlib.crc32(body) if random.randrange(8) else 0)

    def read(path):
        data = path.read_bytes()
        codecs.get(data[:4], layer_opus).decode(data)

    return Target(seeds, read, mutate, "x.lyop")


def sofa():
    """The process that calls the HDF5 library is forked for each input, not started: it may crash, not raise."""
    import tempfile

    import h5py

    from render.headphones.hrir import head_of
    from render.headphones.sofa_file import answer, contents

    seeds = []
    for text in (str, np.bytes_):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.sofa"
            with h5py.File(path, "w") as file:
                file.attrs["Conventions"], file.attrs["DataType"] = text("SOFA"), text("FIR")
                azimuth = np.arange(12) * 30.0
                file["Data.IR"] = np.random.default_rng(0).standard_normal((12, 2, 8))
                file["SourcePosition"] = np.stack([azimuth, 10 * np.cos(azimuth), np.ones(12)], 1)
                file["SourcePosition"].attrs["Type"] = text("spherical")
                file["SourcePosition"].attrs["Units"] = text("degree, degree, metre")
                file["ReceiverPosition"] = np.array([[0, 0.09, 0], [0, -0.09, 0]])[..., None]
                file["Data.SamplingRate"] = np.array([48_000.0])
                file["Data.Delay"] = np.zeros((1, 2))
            seeds.append(path.read_bytes())

    def read(path):
        answered = path.with_suffix(".answer")
        if not (child := os.fork()):
            status = 1
            try:
                with open(answered, "wb") as file:
                    answer(str(path), 1, file)
                status = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
        if status == 0:
            head_of(contents(answered.read_bytes()), path)

    return Target(seeds, read, changed_bytes, "x.sofa")


# -------------------------------------------------------------------------------------- ratings, plans, archives


RATINGS = [
    "session,listener,item,condition,score\ns,a,x,href,100\ns,a,x,la,20\ns,a,x,prop,61.5\ns,b,x,href,99\n",
    "session;listener;item;stimulus;score\ns;a;x;aa;12,5\ns;a;x;bb;80\n",
    "listener,item,href,la,prop\na,x,100,20,60\nb,x,99,10,\n",
    "listener,x_href,x_la,y_href,y_la\na,100,20,99,30\n",
    "session_test_id,age,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    'm,26,u1,"A b",reference,100,9,"a, b"\nm,26,u1,"A b",C1,40,9,\n',
    "wm_id;responses_stimulus;responses_score;questionaire_uuid;wm_testId\nx;C1;40;u1;t\nx;C2;50;u1;t\n",
    '"Tags","","","a","b"\n"","Sound filename","","x_ref.wav","x_opus.wav","y_ref.wav","y_opus.wav"\n'
    '"Name","Date","Q","","","",""\n"T","2023-01-01","No","100","40","90","50"\n',
    '[{"TestID": "s1", "Runtime": 3000, "rating": {"Reference": 100, "A": 20}},'
    ' {"UserName": "anna", "UserComment": ""}]',
    '<?xml version="1.0" encoding="UTF-8"?>\n<MUSHRA><info subjectName="A" testName="E" testStatus="complete"'
    ' startTime="2022-04-19T11:27:26.611-07:00"/><trials><trial trialName="s1" trialSeconds="142.0">'
    '<testFile fileName="s1_codec1.wav" plays="27" score="93.0"/>'
    '<testFile fileName="s1_reference.wav" plays="3" score="100.0"/></trial></trials></MUSHRA>\n',
]


def ratings():
    from analysis.ratings.table import read

    key = {"x": {"aa": "href", "bb": "la"}}

    def read_ratings(path):
        return read(path, key if b";stimulus;" in path.read_bytes()[:200] else None)

    def mutate(random, data, others):
        if data[:1] in b"[{" and random.randrange(2):
            return changed_json(random, data, others)
        return changed_text(random, data, others)

    return Target([text.encode() for text in RATINGS], read_ratings, mutate, "x.csv")


def plan():
    from listening.test_design.test_plan import load_plan

    seeds = [path.read_bytes() for path in sorted((ROOT / "listening/plans").glob("*.toml"))]
    seeds.append(
        b'conditions = ["href", "la", "opus3_160", "order_1"]\n'
        b"seconds = 10.0\ntarget_lufs = -26\nheadroom_dbtp = -1\nholdout = 8\n"
    )
    return Target(seeds, lambda path: load_plan(str(path)), changed_text, "plan.toml")


def layout():
    from render.hoa.layout import measured_layout

    seed = (
        b'layout = "7.1.4"\n[loudspeakers]\n"M+030" = { azimuth = 32.5, distance = 2.1, gain_db = -0.5 }\n'
        b'"U-045" = { azimuth = -40.0, elevation = 42.0, delay_ms = 1.5 }\n'
    )
    return Target([seed], measured_layout, changed_text, "layout.toml")


def layout_json():
    from render.hoa.layout import measured_layout

    seed = (
        b'{"Name": "a", "LoudspeakerLayout": {"Name": "room", "Loudspeakers": [{"Azimuth": 45.0, "Elevation": 0, '
        b'"Radius": 2.0, "IsImaginary": false, "Channel": 1, "Gain": 1.0}, {"Azimuth": -45.0, "Elevation": 0.0, '
        b'"Radius": 2.0, "IsImaginary": false, "Channel": 3, "Gain": 1.0}]}}'
    )
    return Target([seed], measured_layout, changed_text, "layout.json")


def decoder_json():
    from render.hoa.layout import layout
    from render.loudspeakers.plugin_files import read_decoder

    seed = (
        b'{"Decoder": {"ExpectedInputNormalization": "n3d", "Weights": "maxrE", "WeightsAlreadyApplied": false, '
        b'"Matrix": [[0.5, 0.5, 0.0, 0.0], [0.5, -0.5, 0.0, 0.0]], "Routing": [1, 2]}}'
    )
    return Target([seed], lambda path: read_decoder(path, layout("stereo"), 1), changed_text, "decoder.json")


def trajectory():
    from render.headphones.orientation import read_trajectory

    seed = b"time_s,yaw_deg,pitch_deg,roll_deg\n0,1,2,3\n0.5,-4,5.5,6e1\n"
    return Target([seed], read_trajectory, changed_text, "head.csv")


def wave_stream():
    from render.fileio.wave_stream import read_wave_stream

    def read(path):
        with open(path, "rb") as file:
            for _ in read_wave_stream(file, "pipe").blocks:
                pass

    return Target(audio(".wav").seeds, read, changed_bytes, "stream.wav")


def low_delay():
    from codec.bitstream.file import write_stream
    from codec.bitstream.format import Header, Packet
    from codec.coding.low_delay import LowDelayReader

    header = Header(b"modelsha", 44_100, 4, 2, 2, 10, 512, 0, 20_000, 7, "ambiX", True, low_delay=True)
    codes = np.arange(32).reshape(2, 16)
    file = io.BytesIO()
    write_stream(file, header, [Packet(codes, bytes(header.side_info_bytes(16)))] * header.packets)

    def read(path):
        with open(path, "rb") as stream:
            for _ in LowDelayReader(stream, "pipe"):
                pass

    return Target([file.getvalue()], read, changed_bytes, "live.arvq")


def manifest():
    from analysis.metrics.built_test import read_built_test
    from listening.test_design.test_plan import plan_of

    conditions = {name: {"file": f"scenes/Beach/{name}.w64", "sha256": "0" * 64} for name in ("href", "la")}
    seed = {
        "plan": {
            "conditions": ["href", "la"],
            "seconds": 1.0,
            "target_lufs": -26,
            "headroom_dbtp": -1,
            "holdout": 8,
        },
        "items": {"Beach": {"material": "recording", "conditions": conditions}},
    }
    return Target(
        [json.dumps(seed).encode()],
        lambda path: plan_of(read_built_test(path.parent)),
        changed_json,
        "manifest.json",
    )


def key():
    from analysis.ratings.table import read_key

    seed = json.dumps(
        {"items": {"Beach": {"a1b2c3d4": "href", "b1b2c3d4": "la"}, "Park": {"c1": "href"}}}
    ).encode()
    return Target([seed], read_key, changed_json, "key.json")


def frozen_plan():
    from analysis.study.preregistration import read_plan

    values = dict(
        title="t", frozen="2026-01-01T10:00:00+00:00", listeners=8, conditions=["href", "la", "prop"], items=["x"],
        screening="bs1534-3", ci="listener", comparisons=[["la", "prop"]], test="wilcoxon", correction="holm",
        alpha=0.05,
        margin=None, draws=0, seed=1, stimuli={"audio/x/a.wav": "0" * 64},
    )  # fmt: skip
    return Target(
        [json.dumps({"plan": values, "sha256": "0" * 64}).encode()], read_plan, changed_json, "plan.json"
    )


def archive():
    from stimuli.eigenscape.sources import as_file, find_sources, member_record

    def read(path):
        for source in find_sources(path):
            member_record(source)
            with as_file(source, path.parent / "unpacked") as file:
                file.stat()

    content = {"Beach/Beach.1.wav": bytes(range(256)) * 3, "Park/Park-02.wav": b"RIFF" + bytes(500)}
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    return Target([zipped(content, method) for method in methods], read, changed_zip, "x.zip")


# ------------------------------------------------------------------------------------- a listening test that runs


def small_package(folder):
    """One item, two stimuli of 60 samples in two channels, one order; return the content of session.json."""
    import soundfile

    (folder / "audio").mkdir(parents=True, exist_ok=True)
    digests = {}
    for name in ("reference", "1a1a1a1a", "2b2b2b2b"):
        path = folder / "audio" / f"{name}.wav"
        soundfile.write(path, np.full((60, 2), len(name) / 20), 48_000, "PCM_16")
        digests[path.name] = hashlib.sha256(f"x/{path.name}\0".encode() + path.read_bytes()).hexdigest()
    stimuli = {name: f"audio/{name}.wav" for name in ("1a1a1a1a", "2b2b2b2b")}
    item = {
        "id": "x", "frames": 60, "reference": "audio/reference.wav", "stimuli": stimuli, "digests": digests
    }  # fmt: skip
    return {
        "title": "t", "training": {"items": ["x"]}, "items": [item], "signals": ["audio/reference.wav"],
        "layout": {"name": "stereo", "channel_order": "wav", "channels": [{"label": "L"}, {"label": "R"}]},
        "audio": {"sample_rate_hz": 48_000}, "orders": [{"items": ["x"], "stimuli": {"x": list(stimuli)}}],
    }  # fmt: skip


def package():
    import tempfile

    from listening.sessions.package import read_package
    from listening.sessions.pages import pages
    from listening.sessions.plan import SessionPlan

    with tempfile.TemporaryDirectory() as folder:
        seed = json.dumps(small_package(Path(folder))).encode()

    def read(path):
        if not (path.parent / "audio").exists():
            small_package(path.parent)
        pages(SessionPlan(), read_package(path.parent), 1, b"")

    return Target([seed], read, changed_json, "session.json")


def session_plan():
    from listening.sessions.plan import load_plan

    seeds = [
        b'title = "t"\nmethod = "mushra"\nreplicates = 2\nlevel_range_db = 4.0\ntraining = ["x"]\n'
        b'[[questionnaire]]\nid = "age"\nlabel = "Age"\nkind = "number"\nminimum = 1\nmaximum = 120.5\n'
        b'[[questionnaire]]\nid = "use"\nlabel = "Use"\nkind = "choice"\nchoices = ["a", "b"]\n',
        b'method = "ab"\npairs = [["href", "la"], ["la", "prop"]]\nrepetitions = 3\ncontrols = true\n',
    ]
    return Target(seeds, load_plan, changed_text, "session.toml")


def texts():
    from listening.sessions.texts import TEXTS, load_texts

    return Target([(TEXTS / "en.toml").read_bytes()], lambda path: load_texts((), [path]), changed_text, "en.toml")


QUESTIONS = (
    b'transducer = "either"\n[[questionnaire]]\nid = "age"\nlabel = "Age"\nkind = "number"\n'
    b'[[questionnaire]]\nid = "use"\nlabel = "Use"\nkind = "choice"\nchoices = ["a", "b"]\n'
)
EVENTS = [
    [0, "done"], [1, "consent", {"given": True}], [1, "done"], [2, "answer", {"field": "age", "value": 30.5}],
    [2, "answer", {"field": "use", "value": "a"}], [2, "done"],
    [3, "device", {"transducer": "loudspeakers", "sample_rate_hz": 48000, "max_channels": 2, "output_map": [0, 1],
                   "browser": "b", "base_latency_s": 0.01, "native": False}], [3, "done"],
    [4, "confirm", {"what": "channels"}], [4, "done"], [5, "level", {"db": -1.5}],
    [5, "language", {"language": "en"}], [5, "done"], [6, "done"], [7, "play", {"slot": 1, "position": 3}],
    [7, "rate", {"slot": 1, "score": 10}], [7, "done"], [8, "page"], [8, "play", {"slot": 0, "position": 0}],
    [8, "loop", {"start": 1, "end": 50}], [8, "play", {"slot": 1, "position": 0}],
    [8, "play", {"slot": 2, "position": 0}], [8, "seek", {"position": 59}], [8, "stop", {"position": 9}],
    [8, "rate", {"slot": 1, "score": 100}], [8, "rate", {"slot": 2, "score": 20.5}],
    [8, "underruns", {"events": 1, "duration_s": 0.01}], [8, "comment", {"text": "c"}], [8, "done"], [9, "done"],
]  # fmt: skip


def listener_events():
    return [
        {"seq": seq, "at_ms": 1_790_000_000_000 + seq, "page": page, "type": kind} | dict(*own)
        for seq, (page, kind, *own) in enumerate(EVENTS, start=1)
    ]


def begun_test(folder):
    """A test in a folder, with one listener whose window is "w"."""
    from listening.sessions.listening_test import ListeningTest

    (folder / "session.json").write_text(json.dumps(small_package(folder)))
    (folder / "plan.toml").write_bytes(QUESTIONS)
    test = ListeningTest.open(folder, folder / "x.sqlite", folder / "plan.toml")
    listener = test.add_listener()
    test.open_window(listener, "w")
    return test, listener


def events():
    """Events as a page sends them: what the server's JSON reader lets through is stored, or refused in words."""
    import tempfile

    from listening.sessions.outcomes import Gap, Refused, Stored
    from render.common.errors import InputError

    held = []

    def read(path):
        try:
            content = json.loads(path.read_bytes())
            json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise InputError("refused by the server") from None
        if not isinstance(content, list):
            raise InputError("refused by the server")
        if not held:
            held.append(tempfile.TemporaryDirectory())
            held.extend(begun_test(Path(held[0].name)))
            held[1]._store._connection.execute("PRAGMA synchronous = OFF")
        _, test, listener = held
        for seq, event in enumerate(content, start=1):
            stored = test.open_window(listener, "w").stored
            if isinstance(event, dict) and event.get("seq") == seq:
                event["seq"] = stored + 1
            answer = test.append(listener, "w", [event])
            assert isinstance(answer, Stored | Gap | Refused)
            json.dumps(vars(answer), allow_nan=False)
        json.dumps([test.session(listener), test.overview()], allow_nan=False).encode()
        # every file begins with a new listener
        test._store._connection.executescript("DELETE FROM rating; DELETE FROM answer; DELETE FROM event")
        rater = test._raters[listener]
        rater.progress = type(rater.progress)()

    return Target([json.dumps(listener_events()).encode()], read, changed_json, "events.json")


def database():
    """Bytes of the file, or a value in any cell of any table."""
    import sqlite3
    import tempfile
    from contextlib import closing, suppress

    from analysis.ratings.table import read

    with tempfile.TemporaryDirectory() as folder:
        test, listener = begun_test(Path(folder))
        assert test.append(listener, "w", listener_events()).stored == len(EVENTS)
        test.close()
        seed = (Path(folder) / "x.sqlite").read_bytes()

    def mutate(random, data, others):
        if random.randrange(2):
            return changed_bytes(random, data, others)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as file:
            file.deserialize(data[:18] + b"\1\1" + data[20:])  # no write-ahead log: there is none in memory
            for _ in range(random.randrange(1, 3)):
                table = random.choice(tables)
                column = random.choice([row[1] for row in file.execute(f"PRAGMA table_info({table})")])
                value = random.choice((*VALUES[:7], *VALUES[9:17], b"\xff", json.dumps({"method": [1]})))
                with suppress(sqlite3.Error, OverflowError, UnicodeError):
                    file.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608
            return file.serialize()

    tables = ("meta", "listener", "answer", "rating", "event")
    key = {"x": {"1a1a1a1a": "href", "2b2b2b2b": "la"}}
    return Target([seed], lambda path: read(path, key), mutate, "x.sqlite")


def resumed():
    """The same databases, with which a server goes on and whose results are written."""
    from listening.sessions.listening_test import ListeningTest
    from listening.sessions.result_files import read_results, write_csv, write_events

    def read(path):
        folder = path.parent
        if not (folder / "audio").exists():
            (folder / "session.json").write_text(json.dumps(small_package(folder)))
            (folder / "plan.toml").write_bytes(QUESTIONS)
        fault = None
        try:
            results = read_results(path, with_withdrawn=True)
            write_csv(folder / "a.csv", results, None, True)
            write_events(folder / "b.csv", results, True)
        except InputError as error:
            fault = error
        test = ListeningTest.open(folder, path, folder / "plan.toml")
        test.overview()
        assert test.listener_of("x") is None
        test.close()
        if fault:
            raise fault

    from render.common.errors import InputError

    whole = database()
    return Target(whole.seeds, read, whole.mutate, whole.name)


TARGETS: dict[str, Callable[[], Target]] = {
    "arvq": arvq, "dac": dac, "pth": pth, "model": model, "wav": lambda: audio(".wav"),
    "rf64": lambda: audio(".rf64"),
    "w64": lambda: audio(".w64"), "caf": lambda: audio(".caf"), "flac": lambda: audio(".flac", (1, 2)),
    "opus": opus, "parametric": parametric,
    "sofa": sofa, "ratings": ratings, "plan": plan, "layout": layout,
    "layout-json": layout_json, "decoder-json": decoder_json, "trajectory": trajectory,
    "wave-stream": wave_stream, "low-delay": low_delay, "manifest": manifest, "key": key,
    "frozen-plan": frozen_plan, "archive": archive,
    "package": package, "session-plan": session_plan, "texts": texts, "events": events, "database": database,
    "resumed": resumed,
}  # fmt: skip
