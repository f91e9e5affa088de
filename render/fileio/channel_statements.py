"""What a file says about its channels: Ambisonic components or loudspeakers, by mask, layout tag or ADM.

A statement is used or contradicted where the samples are read (`render.fileio.scene_file`, `render.hoa.layout`),
never ignored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

UNSTATED = 0  # position or component of a channel that a file leaves open


class Component(NamedTuple):
    """Spherical harmonic of a channel: its Ambisonic Channel Number, and SN3D, N3D or FuMa."""

    acn: int
    normalisation: str


@dataclass(frozen=True)
class Statement:
    """What a part of a file's header says about the channels.

    Attributes
    ----------
    source : str
        That part, for messages.
    components : tuple of Component
        One for each channel that is Ambisonics; empty if the channels are something else.
    positions : tuple of int
        Loudspeaker of each channel (and of those that a mask names beyond them), by CoreAudio's labels (CAF
        specification); these are, for the 18 positions of WAVEFORMATEXTENSIBLE, the bits of its mask counted from
        1. 0 where the file gives none. Empty if the channels are not loudspeakers, or those of an unknown layout.
    labels : tuple of str
        Loudspeaker of each channel by the labels of BS.2051, where the file gives these instead of positions.
    what : str
        What the channels are if not Ambisonics, in plural.
    """

    source: str
    components: tuple[Component, ...] = ()
    positions: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    what: str = "loudspeakers"


# Furse-Malham order W X Y Z R S T U V K L M N O P Q in Ambisonic Channel Numbers
_FUMA_ACN = (0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9)
_MASK_POSITIONS = 18

# Layout tags of CAF without their number of channels (CoreAudioBaseTypes.h)
_TAG_DESCRIPTIONS, _TAG_BITMAP, _TAG_B_FORMAT, _TAG_DISCRETE = 0, 1, 107, 147
_TAG_HOA = {190: "SN3D", 191: "N3D"}
_TAG_UNKNOWN = 0xFFFF
# Layouts of loudspeakers by CoreAudio's labels: 1 L, 2 R, 3 C, 4 LFE, 5 Ls, 6 Rs, 9 Cs, 13 Vhl, 15 Vhr,
# 33 Rls, 34 Rrs, 35 Lw, 36 Rw, 49 Ltm, 51 Rtm, 52 Ltr, 54 Rtr
_TAG_POSITIONS = {
    100: (3,),
    101: (1, 2),
    121: (1, 2, 3, 4, 5, 6),
    122: (1, 2, 5, 6, 3, 4),
    123: (1, 3, 2, 5, 6, 4),
    124: (3, 1, 2, 5, 6, 4),
    184: (1, 2, 3, 4, 5, 6, 33, 34),
    189: (1, 2, 3, 4, 33, 34, 5, 6),
    192: (1, 2, 3, 4, 5, 6, 33, 34, 13, 15, 52, 54),
    193: (1, 2, 3, 4, 5, 6, 33, 34, 35, 36, 13, 15, 49, 51, 52, 54),
    195: (1, 2, 3, 4, 5, 6, 13, 15, 52, 54),
}
# Labels of single channels
_LABEL_UNUSED, _LABEL_DISCRETE, _LABEL_UNKNOWN = 0, 400, 0xFFFFFFFF
_LABEL_B_FORMAT = {200: 0, 201: 3, 202: 1, 203: 2}
_LABEL_DISCRETE_BASE, _LABEL_SN3D_BASE, _LABEL_N3D_BASE = 1, 2, 3  # upper 16 bits; the lower are the number


def of_convention(convention: str, channels: int) -> tuple[Component, ...]:
    """Components of a scene's channels in the convention ``sn3d``, ``n3d`` (both ACN) or ``fuma``.

    FuMa has 16 channels at most; more are left out.
    """
    if convention == "fuma":
        return tuple(Component(acn, "FuMa") for acn in _FUMA_ACN[:channels])
    return tuple(Component(acn, convention.upper()) for acn in range(channels))


def amb_statement(channels: int) -> Statement:
    """Return the statement of the GUID SUBTYPE_AMBISONIC_B_FORMAT (.amb files): Furse-Malham (Dobson 2001)."""
    return Statement("its B-format GUID (.amb)", of_convention("fuma", channels))


def mask_statement(mask: int, channels: int) -> Statement | None:
    """Return the statement of a dwChannelMask; None if it gives no position (0, or the bit SPEAKER_ALL alone)."""
    positions = tuple(bit + 1 for bit in range(_MASK_POSITIONS) if mask >> bit & 1)
    if not positions:
        return None
    return Statement(f"channel mask {mask:#x}", positions=positions + (channels - len(positions)) * (UNSTATED,))


def caf_statement(body: bytes, channels: int) -> Statement | None:
    """Return the statement of a CAF file's channel layout chunk; None if it leaves the channels open.

    `body` is AudioChannelLayout: tag, bitmap, number of descriptions, and these, of 20 bytes each.
    """
    if len(body) < 12:
        return None
    tag, bitmap, described = struct.unpack_from(">III", body)
    kind, source = tag >> 16, f"CAF layout tag {tag:#x}"
    if tag == _TAG_BITMAP << 16:
        return mask_statement(bitmap, channels)
    if tag == _TAG_DESCRIPTIONS << 16:
        whole = body[12 : len(body) - (len(body) - 12) % 20]
        labels = [label for (label,) in struct.iter_unpack(">I16x", whole)][:described]
        return _labels_statement(labels[:channels], channels)
    if kind in (_TAG_DISCRETE, _TAG_UNKNOWN):
        return None
    if kind in _TAG_HOA:
        convention = _TAG_HOA[kind]
        return Statement(f"{source} (HOA_ACN_{convention})", of_convention(convention.lower(), channels))
    if kind == _TAG_B_FORMAT:
        return Statement(f"{source} (Ambisonic_B_Format)", of_convention("fuma", channels))
    return Statement(f"{source} (loudspeakers)", positions=_TAG_POSITIONS.get(kind, ()))


def _labels_statement(labels: list[int], channels: int) -> Statement | None:
    """Statement of a CAF file that labels each channel by itself."""
    source = "CAF channel labels"
    components = tuple(component for label in labels if (component := _component(label)))
    if components:
        return Statement(source, components)
    open_labels = (_LABEL_UNUSED, _LABEL_DISCRETE, _LABEL_UNKNOWN)
    positions = [
        UNSTATED if label in open_labels or label >> 16 == _LABEL_DISCRETE_BASE else label for label in labels
    ]
    if not any(positions):
        return None
    return Statement(source, positions=tuple(positions) + (channels - len(positions)) * (UNSTATED,))


def _component(label: int) -> Component | None:
    if label in _LABEL_B_FORMAT:
        return Component(_LABEL_B_FORMAT[label], "FuMa")
    normalisation = {_LABEL_SN3D_BASE: "SN3D", _LABEL_N3D_BASE: "N3D"}.get(label >> 16)
    return Component(label & 0xFFFF, normalisation) if normalisation else None
