"""What an ADM description (BS.2076) says about a file's tracks: the chna and axml chunks of BW64 (BS.2088)."""

from __future__ import annotations

import re
import struct

from render.common.errors import InputError
from render.fileio.channel_statements import Component, Statement

_ROW = struct.Struct("<H12s14s11sx")  # track index, UID, track or channel format, pack format
_FORMAT = re.compile(r"A[TC]_(?P<type>[0-9a-f]{4})(?P<number>[0-9a-f]{4})", re.IGNORECASE)
_PACK = re.compile(r"AP_(?P<type>[0-9a-f]{4})", re.IGNORECASE)
_TYPES = {"0001": "loudspeakers", "0002": "a matrix", "0003": "objects", "0005": "binaural signals"}
_SPEAKERS, _HOA = "0001", "0004"
_FIRST_CUSTOM = 0x1001
# Common definitions (BS.2094): number of the first channel format of each normalisation, all in ACN order
_COMMON = ((0x201, "FuMa"), (0x101, "N3D"), (0x001, "SN3D"))
# Loudspeakers of the common definitions by their numbers from 1 on, with BS.2051's labels
_COMMON_LABELS = (
    "M+030", "M-030", "M+000", "LFE1", "M+110", "M-110", "M+022", "M-022", "M+180", "M+090",
    "M-090", "T+000", "U+030", "U+000", "U-030", "U+110", "U+180", "U-110", "U+090", "U-090",
    "B+000", "B+045", "B-045", "M+060", "M-060", "M+135_Diff", "M-135_Diff", "M+135", "M-135", "U+135",
    "U-135", "LFE1", "LFE2", "U+045", "U-045", "M+SC", "M-SC", "M+045", "M-045", "UH+180",
)  # fmt: skip
_LABEL_URN = "urn:itu:bs:2051:0:speaker:"
_LABEL_NAMES = {"LFE": "LFE1", "LFEL": "LFE1", "LFER": "LFE2"}
_SOURCE = "its ADM description"


class _Refused(Exception):
    """The document declares a document type, which ADM does not have and entity bombs need."""


def adm_statement(chna: bytes, axml: bytes, channels: int, name: str) -> Statement | None:
    """Return the statement of an ADM description; None if it describes no track.

    Loudspeakers and HOA of the common definitions are known by their numbers; of others the document tells the
    label, or order, degree and normalisation.

    Raises
    ------
    InputError
        If a track is described in two ways.
    """
    tracks: dict[int, tuple[str, str]] = {}
    rows = range(4, len(chna) - _ROW.size + 1, _ROW.size)
    for index, _, track, pack in (_ROW.unpack_from(chna, at) for at in rows):
        form = _FORMAT.match(track.decode("latin-1"))
        packed = _PACK.match(pack.decode("latin-1"))
        kind = form["type"] if form else packed["type"] if packed else ""
        if not index or not kind:
            continue
        meaning = (kind, form["number"].lower() if form else "")
        if tracks.setdefault(index, meaning) != meaning:
            raise InputError(f"{name}: {_SOURCE} gives track {index} two formats; export it again")
    if not tracks:
        return None
    kinds = {kind for kind, _ in tracks.values()}
    numbers = [number for _, (_, number) in sorted(tracks.items())]
    fields: dict[str, dict[str, str]] = {}
    if kinds <= {_SPEAKERS, _HOA} and any(not number or int(number, 16) >= _FIRST_CUSTOM for number in numbers):
        fields = _defined_channels(axml)
    if kinds == {_SPEAKERS}:
        labels = [_common_label(number) or _label(fields.get(number, {})) for number in numbers]
        return Statement(_SOURCE, labels=tuple(labels) if all(labels) else ())
    if other := sorted(kinds - {_HOA}):
        return Statement(_SOURCE, what=_TYPES.get(other[0], f"of type {other[0]}"))
    found = [_common_component(number) or _component(fields.get(number, {})) for number in numbers]
    components = tuple(component for component in found if component)
    if len(components) < len(found):
        return Statement(_SOURCE, what="components of orders and degrees that it does not define")
    return Statement(f"{_SOURCE} (HOA)", components)


def _common_label(number: str) -> str:
    index = int(number, 16) - 1 if number else -1
    return _COMMON_LABELS[index] if 0 <= index < len(_COMMON_LABELS) else ""


def _label(values: dict[str, str]) -> str:
    label = values.get("speakerLabel", "").removeprefix(_LABEL_URN)
    return _LABEL_NAMES.get(label, label)


def _common_component(number: str) -> Component | None:
    if not number or not 0 < int(number, 16) < _FIRST_CUSTOM:
        return None
    first, normalisation = next(entry for entry in _COMMON if entry[0] <= int(number, 16))
    return Component(int(number, 16) - first, normalisation)


def _defined_channels(axml: bytes) -> dict[str, dict[str, str]]:
    """What a document says about the channel formats that it defines, by the numbers of their track formats."""
    from xml.parsers import expat  # which a file without such a document saves

    channel_of_stream: dict[str, str] = {}
    stream_of_track: dict[str, str] = {}
    fields: dict[str, dict[str, str]] = {}
    state = {"id": "", "text": ""}
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        state["text"] = ""
        for kind in ("audioChannelFormat", "audioStreamFormat", "audioTrackFormat"):
            if tag.rpartition(":")[2] == kind:
                state["id"] = attributes.get(f"{kind}ID", "").lower()
                if kind == "audioChannelFormat":
                    fields[state["id"]] = {}

    def end(tag: str) -> None:
        tag, text = tag.rpartition(":")[2], state["text"].strip()
        if tag == "audioChannelFormatIDRef" and state["id"].startswith("as_"):
            channel_of_stream[state["id"]] = text.lower()
        elif tag == "audioStreamFormatIDRef" and state["id"].startswith("at_"):
            stream_of_track[state["id"]] = text.lower()
        elif tag in ("order", "degree", "normalization", "speakerLabel") and state["id"] in fields:
            fields[state["id"]][tag] = text
        elif tag in ("audioChannelFormat", "audioStreamFormat", "audioTrackFormat"):
            state["id"] = ""
        state["text"] = ""

    def text(content: str) -> None:
        state["text"] += content

    def refuse(*_: object) -> None:
        raise _Refused

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(axml.rstrip(b"\0"), True)
    except (expat.ExpatError, _Refused):
        return {}
    by_track = {name[7:11]: values for name, values in fields.items()}  # AC_0004yyyy, if none is linked
    for track, stream in stream_of_track.items():
        by_track[track[7:11]] = fields.get(channel_of_stream.get(stream, ""), {})
    return by_track


def _component(values: dict[str, str]) -> Component | None:
    """Component of a block format; its normalisation is SN3D where it gives none (BS.2076, clause 5.4.3.4)."""
    try:
        order, degree = int(values["order"]), int(values["degree"])
    except (KeyError, ValueError):
        return None
    normalisation = values.get("normalization", "SN3D")
    if abs(degree) > order or normalisation not in ("SN3D", "N3D", "FuMa"):
        return None
    return Component(order * order + order + degree, normalisation)
