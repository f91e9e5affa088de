"""ADM BW64 files (ITU-R BS.2076, BS.2088), which the EBU's tools read.

A scene (ACN/SN3D, order 1 to 6) refers to the HOA packs of the common definitions (BS.2094). A feed becomes
DirectSpeakers with the labels and positions of its layout, measured ones included.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from render.common.errors import InputError
from render.fileio.audio_file import writer
from render.fileio.feed_file import feed_blocks, feed_info
from render.fileio.scene_file import scene_blocks, scene_info, scene_name
from render.hoa.layout import Layout

_MAX_ORDER = 6  # of the HOA packs in BS.2094
_LFE_HZ = 120
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ebuCoreMain xmlns="urn:ebu:metadata-schema:ebuCore_2015">\n'
_PCM = 'formatLabel="0001" formatDefinition="PCM"'


def export_adm(
    source: Path,
    destination: Path,
    layout: Layout | None = None,
    subtype: str = "PCM_24",
    force: bool = False,
    order: str | None = None,
) -> int:
    """Write an audio file as ADM BW64.

    Parameters
    ----------
    source : Path
        A scene, in one file or several, or with `layout` a feed.
    destination : Path
        A .wav file.
    layout : Layout, optional
    subtype : str
        PCM_16, PCM_24 or PCM_32.
    force : bool
        Replace an existing file that differs.
    order : str, optional
        Channel order of the feed, as for `render.fileio.feed_file.feed_info`; tracks are in the standard's.

    Returns
    -------
    int
        Number of values that were clipped.

    Raises
    ------
    InputError
        If the channels are not a scene of order 1 to 6 or not those of the layout, or as
        `render.fileio.scene_file.scene_info`, `render.fileio.feed_file.feed_info` and
        `render.fileio.audio_file.writer`.
    """
    if Path(destination).suffix.lower() != ".wav":
        raise InputError(f"{destination}: ADM files are BW64 files, whose suffix is .wav")
    if layout is None:
        about, signal = scene_info(source), scene_blocks(source)
        ambisonic_order = about.ambisonic_order
        if not 1 <= ambisonic_order <= _MAX_ORDER:
            raise InputError(
                f"{source}: order {ambisonic_order}; BS.2094 defines HOA packs of order 1 to {_MAX_ORDER}"
            )
        name = scene_name(about.path)
        description = _scene_document(ambisonic_order, name, about.length, about.sample_rate_hz)
        # The common definitions number ACN channels from 1, in hexadecimal
        tracks = [(f"AT_0004{acn + 1:04x}_01", f"AP_0004{ambisonic_order:04x}") for acn in range(about.channels)]
    else:
        feed = feed_info(source, layout, order)
        about, signal = feed.about, feed_blocks(feed)
        description = _feed_document(layout, about.path.stem, about.length, about.sample_rate_hz)
        tracks = [(f"AT_0001{_custom_id(index)}_01", f"AP_0001{_custom_id(0)}") for index in range(about.channels)]
    chunks = _chunk(b"chna", _track_table(tracks)) + _chunk(b"axml", description.encode())
    with writer(destination, about.channels, about.sample_rate_hz, subtype, force, chunks=chunks) as file:
        for block in signal:
            file.write(block)
    return file.clipped


def _custom_id(index: int) -> str:
    """Last four digits of the identifier of a custom definition, which begin at 1001 (BS.2076, clause 6)."""
    return f"{0x1001 + index:04x}"


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _track_table(tracks: Sequence[tuple[str, str]]) -> bytes:
    """Body of the chna chunk, which gives the format of each track of the file (BS.2088, clause 8)."""
    rows = b"".join(
        struct.pack("<H12s14s11sx", index, f"ATU_{index:08x}".encode(), track.encode(), pack.encode())
        for index, (track, pack) in enumerate(tracks, start=1)
    )
    return struct.pack("<HH", len(tracks), len(tracks)) + rows


def _scene_document(order: int, name: str, length: int, rate_hz: int) -> str:
    return _document(name, f"AP_0004{order:04x}", (order + 1) ** 2, length, rate_hz, "HOA", "")


def _feed_document(layout: Layout, name: str, length: int, rate_hz: int) -> str:
    pack = f"AP_0001{_custom_id(0)}"
    lines = [
        f"<audioPackFormat audioPackFormatID={quoteattr(pack)} audioPackFormatName={quoteattr(layout.name)} "
        'typeLabel="0001" typeDefinition="DirectSpeakers">'
    ]
    channels = [f"AC_0001{_custom_id(index)}" for index in range(len(layout.loudspeakers))]
    lines += [f"<audioChannelFormatIDRef>{channel}</audioChannelFormatIDRef>" for channel in channels]
    lines += ["</audioPackFormat>"]
    for index, speaker in enumerate(layout.loudspeakers):
        label, digits = quoteattr(speaker.label), f"0001{_custom_id(index)}"
        lines += [
            f'<audioChannelFormat audioChannelFormatID="AC_{digits}" audioChannelFormatName={label} '
            'typeLabel="0001" typeDefinition="DirectSpeakers">',
            *([f'<frequency typeDefinition="lowPass">{_LFE_HZ}</frequency>'] if speaker.is_lfe else []),
            f'<audioBlockFormat audioBlockFormatID="AB_{digits}_00000001">',
            f"<speakerLabel>{escape(speaker.label)}</speakerLabel>",
            f'<position coordinate="azimuth">{speaker.azimuth_deg:.3f}</position>',
            f'<position coordinate="elevation">{speaker.elevation_deg:.3f}</position>',
            '<position coordinate="distance">1.0</position>',
            "</audioBlockFormat></audioChannelFormat>",
            f'<audioStreamFormat audioStreamFormatID="AS_{digits}" audioStreamFormatName={label} {_PCM}>',
            f"<audioChannelFormatIDRef>AC_{digits}</audioChannelFormatIDRef>",
            f"<audioTrackFormatIDRef>AT_{digits}_01</audioTrackFormatIDRef></audioStreamFormat>",
            f'<audioTrackFormat audioTrackFormatID="AT_{digits}_01" audioTrackFormatName={label} {_PCM}>',
            f"<audioStreamFormatIDRef>AS_{digits}</audioStreamFormatIDRef></audioTrackFormat>",
        ]
    return _document(name, pack, len(channels), length, rate_hz, "DirectSpeakers", "\n".join(lines))


def _document(name: str, pack: str, tracks: int, length: int, rate_hz: int, kind: str, formats: str) -> str:
    """ADM document with one programme, which has one content with one object."""
    # A file name that is not UTF-8 contains lone surrogates
    quoted_name = quoteattr(name.encode("utf-8", "replace").decode())
    references = "".join(f"<audioTrackUIDRef>ATU_{index:08x}</audioTrackUIDRef>" for index in range(1, tracks + 1))
    uids = "".join(
        f'<audioTrackUID UID="ATU_{index:08x}" sampleRate="{rate_hz}"/>\n' for index in range(1, tracks + 1)
    )
    return (
        f"{_HEAD}<coreMetadata><format><audioFormatExtended>\n"
        f'<audioProgramme audioProgrammeID="APR_1001" audioProgrammeName={quoted_name} start="00:00:00.00000" '
        f'end="{_time(length, rate_hz)}"><audioContentIDRef>ACO_1001</audioContentIDRef></audioProgramme>\n'
        f'<audioContent audioContentID="ACO_1001" audioContentName={quoted_name}>'
        "<audioObjectIDRef>AO_1001</audioObjectIDRef></audioContent>\n"
        f'<audioObject audioObjectID="AO_1001" audioObjectName="{kind}">'
        f"<audioPackFormatIDRef>{pack}</audioPackFormatIDRef>{references}</audioObject>\n"
        f"{formats}\n{uids}</audioFormatExtended></format></coreMetadata></ebuCoreMain>\n"
    )


def _time(length: int, rate_hz: int) -> str:
    """Time code of BS.2076, hh:mm:ss.zzzzz, rounded up so that it includes the last sample."""
    units = -(-length * 100_000 // rate_hz)
    seconds, fraction = divmod(units, 100_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:05d}"
