"""What is decoded in place of damaged packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from codec.bitstream.format import CorruptStream, Header, Packet
from codec.bitstream.sizes import PACKET_FRAMES
from codec.coding.front_end import FrontEnd


def conceal(
    packets: Iterable[Packet | None], header: Header, front_end: FrontEnd, where: str
) -> Iterator[tuple[Packet, bool]]:
    """Replace each missing packet by the one before it, with its frames and side information in reverse order.

    The sound field thus continues from where it stopped. Before the first intact packet, the next one is used.

    Parameters
    ----------
    packets : iterable of Packet or None
        All packets of a stream, None in place of those that are missing.
    header : Header
    front_end : FrontEnd
        That of the model.
    where : str
        Name of the stream in error messages.

    Yields
    ------
    packet : Packet
    concealed : bool
        Whether it is a replacement.

    Raises
    ------
    CorruptStream
        If no packet is intact.
    """
    last: Packet | None = None
    missing: list[int] = []
    for index, packet in enumerate(packets):
        if packet is None and last is None:
            missing.append(index)
            continue
        if packet is not None and missing:
            for earlier in missing:
                yield _reversed(packet, header, front_end, earlier), True
            missing = []
        concealed = packet is None
        last = _reversed(last, header, front_end, index) if packet is None and last is not None else packet
        assert last is not None
        yield last, concealed
    if missing:
        raise CorruptStream(f"{where}: none of its {header.packets} packets is intact, there is nothing to decode")


def _reversed(packet: Packet, header: Header, front_end: FrontEnd, index: int) -> Packet:
    """Return a packet played backwards, again and again, in place of packet number `index`."""
    frames, target_frames = packet.codes.shape[1], header.packet_frames(index)
    codes = np.pad(packet.codes[:, ::-1], ((0, 0), (0, PACKET_FRAMES)), "wrap")[:, :target_frames]
    return Packet(codes, front_end.reversed_side_info(packet.side_info, frames, target_frames))
