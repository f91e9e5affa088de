"""Loudspeaker signals in files: the order of their channels, from the file, its record or the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from render.common.errors import InputError
from render.common.files import read_record
from render.fileio.audio_file import AudioInfo, blocks, info
from render.hoa.layout import Layout, file_order, order_of_positions

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray


@dataclass(frozen=True)
class FeedInfo:
    """A file of loudspeaker signals.

    Attributes
    ----------
    about : AudioInfo
    permutation : tuple of int
        Channel of the layout that each channel of the file is, as of `render.hoa.layout.file_order`.
    origin : str
        Where this order is known from.
    contradiction : str
        What the file says and the user contradicts; empty if they agree.
    """

    about: AudioInfo
    permutation: tuple[int, ...]
    origin: str
    contradiction: str = ""


def feed_info(path: Path, layout: Layout, order: str | None = None) -> FeedInfo:
    """Find the channel order of a file of loudspeaker signals.

    Parameters
    ----------
    path : Path
    layout : Layout
    order : str, optional
        What the user says (`render.hoa.layout.file_order`), against the file if need be. Without it the file's
        channel mask or layout tag is believed, else the record that `render.decode` wrote beside it; a file
        without either is in the standard's own order.

    Raises
    ------
    InputError
        If the file cannot be read, has not the layout's number of channels, or says that they are others.
    """
    about = info(path)
    if about.channels != len(layout.loudspeakers):
        raise InputError(
            f"{path}: {about.channels} channels, but layout {layout.name} has {len(layout.loudspeakers)}"
        )
    said = _said(about, layout)
    if order is not None:
        permutation = file_order(layout, order)[0]
        sources = " and ".join(statement.source for statement in about.statements)
        return FeedInfo(about, permutation, f"--order {order}", "" if said in (None, permutation) else sources)
    if isinstance(said, str):
        raise InputError(f"{path}: {said}; if it is such a feed all the same, say its order with --order")
    if said:
        return FeedInfo(about, said, about.statements[0].source)
    recorded = [
        channel.get("label") for channel in read_record(path).get("channels", []) if isinstance(channel, dict)
    ]
    if sorted(map(str, recorded)) == sorted(layout.labels):
        return FeedInfo(about, tuple(map(layout.labels.index, recorded)), "its record")
    return FeedInfo(about, file_order(layout, "bs2051")[0], "the standard's order, since the file gives none")


def _said(about: AudioInfo, layout: Layout) -> tuple[int, ...] | str | None:
    """Channel order by what the file says, None if it says none, or why it is not this layout's."""
    orders = set()
    for statement in about.statements:
        if statement.components:
            return f"{statement.source} says that the channels are Ambisonics, not loudspeakers of {layout.name}"
        if statement.what != "loudspeakers":
            return f"{statement.source} says that the channels are {statement.what}, not loudspeakers"
        if sorted(statement.labels) == sorted(layout.labels):
            found = tuple(map(layout.labels.index, statement.labels))
        else:
            found = order_of_positions(layout, statement.positions)
        if found is None:
            labels = " ".join(layout.labels)
            return f"{statement.source} names other loudspeakers than layout {layout.name} ({labels})"
        orders.add(found)
    if len(orders) > 1:
        return "its statements about the loudspeakers contradict each other"
    return next(iter(orders), None)


def feed_blocks(feed: FeedInfo) -> Iterator[Float32[ndarray, "channel time"]]:
    """Read a file of loudspeaker signals block by block, channels in the order of the layout."""
    channel_of = [feed.permutation.index(index) for index in range(len(feed.permutation))]
    for block in blocks(feed.about.path):
        yield block[channel_of]
