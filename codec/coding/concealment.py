"""What is played where packets are damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from codec.bitstream.format import PACKET_FRAMES, CorruptStream, Header, Packet
from codec.side_info.spatial_layer import Layer


def conceal(
    packets: Iterable[Packet | None], header: Header, layer: Layer | None, where: str
) -> Iterator[tuple[Packet, bool]]:
    """Fill the gaps: a missing packet becomes the one before it, its frames and spatial layer in reverse order.

    So the sound field goes on from where it stopped. Before the first intact packet the next one is used likewise.
    Also tells which packets are made up. `layer` is that of the model, if its streams have one.

    Raises
    ------
    CorruptStream
        If no packet is intact: there is nothing that could go on.
    """
    last: Packet | None = None
    missing: list[int] = []
    for index, packet in enumerate(packets):
        if packet is None and last is None:
            missing.append(index)
            continue
        if packet is not None and missing:
            for earlier in missing:
                yield _mirrored(packet, header, layer, earlier), True
            missing = []
        made_up = packet is None
        last = _mirrored(last, header, layer, index) if packet is None and last is not None else packet
        assert last is not None
        yield last, made_up
    if missing:
        raise CorruptStream(f"{where}: none of its {header.packets} packets is intact, there is nothing to decode")


def _mirrored(packet: Packet, header: Header, layer: Layer | None, index: int) -> Packet:
    own, frames = packet.codes.shape[1], header.packet_frames(index)
    codes = np.pad(packet.codes[:, ::-1], ((0, 0), (0, PACKET_FRAMES)), "wrap")[:, :frames]
    return Packet(codes, layer.mirrored(packet.layer, own, frames) if layer else b"")
