"""session.json: everything that a program needs to run the test. Nothing in it reveals a condition.

A package for headphones alone has the layout ``binaural`` with the channels left and right, and ``head``, which
says whose head-related responses they are. A package for loudspeakers may hold the same items for headphones too::

    "headphones": {
        "layout": {"name": "binaural", "channel_order": "bs2051", "channels": [left, right]},
        "head": "rigid sphere" or {"sofa": name of the file, "sha256": digest},
        "signals": ["signals/headphones/identification.wav", ...],
        "items": [{"id", "frames", "loudness_gated", "levels", "reference", "stimuli", "digests"}, ...]
    }

Its stimuli have the blind names of those for loudspeakers and lie in ``headphones/<item>/``. ``levels`` are those
of the item, common to all conditions: loudness of the rendered reference, highest true peak, gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from listening.packaging.blinding import BlindTest
from listening.packaging.feeds import RATE_HZ, FeedFormat, ItemFeeds
from listening.packaging.plan_report import Presented
from listening.packaging.room_signals import NAMES
from listening.test_design.presentation_orders import orders, williams
from render.common.files import whole_file
from render.hoa.layout import file_order

INSTRUCTION = (
    "You hear a reference and several versions of it; one of them is the reference itself. Rate the overall "
    "quality of each version against the reference: the sound quality, and how correct the spatial impression "
    "is (directions, distances, envelopment). Use the scale from 0 to 100: 100 means no audible difference "
    "from the reference. At least one version must be rated 100; the worst need not be rated 'bad'."
)

HEADPHONES = "headphones"
"""Folder in a package, and key in a session, of what is for headphones beside loudspeakers."""

TRAINING = (
    "Listen to all items and to all of their versions in any order, until you know the whole range of differences "
    "and how the program works. What you rate here is discarded."
)

SCALE = {"Bad": [0, 20], "Poor": [20, 40], "Fair": [40, 60], "Good": [60, 80], "Excellent": [80, 100]}


@dataclass(frozen=True)
class Presentation:
    """For how many listeners orders are made, their seed, and how many items each listener rates (None: all)."""

    listeners: int = 8
    seed: int = 1
    items_each: int | None = None


def layout_record(form: FeedFormat) -> dict[str, Any]:
    """Layout of the files as JSON values: its name, the channel order, and the loudspeaker of each channel."""
    permutation, _ = file_order(form.layout, form.channel_order)
    return {
        "name": form.layout.name,
        "channel_order": form.channel_order,
        "channels": [asdict(form.layout.loudspeakers[index]) for index in permutation],
    }


def session_record(
    test: BlindTest,
    form: FeedFormat,
    feeds: Mapping[str, ItemFeeds],
    presentation: Presentation,
    headphones: tuple[FeedFormat, Mapping[str, ItemFeeds]] | None = None,
) -> dict[str, Any]:
    """Content of session.json.

    Parameters
    ----------
    test : BlindTest
    form : FeedFormat
    feeds : mapping
        Item -> what was written for it.
    presentation : Presentation
    headphones : tuple, optional
        Format of the headphone feeds beside those for loudspeakers, and item -> what was written for it.
    """
    stimuli = {item: list(names) for item, names in test.names.items()}
    record = {
        "title": f"MUSHRA, {form.layout.name}",
        "instruction": INSTRUCTION,
        "training": {"instruction": TRAINING, "items": list(test.items)},
        "scale": SCALE,
        "layout": layout_record(form),
        **({"head": form.headphones.head_record} if form.headphones else {}),
        "audio": {
            "sample_rate_hz": RATE_HZ,
            "format": "24-bit WAV",
            **({} if form.headphones else {"lfe": "silent"}),
            "digest": "SHA-256 of <item>/<file name>, a zero byte and the file's content",
        },
        "signals": [f"signals/{name}" for name in NAMES],
        "target_lufs": test.plan.target_lufs,
        "items": [
            {
                "id": item,
                "material": entry["material"],
                **_files_record("audio", item, test.names[item], feeds[item]),
            }
            for item, entry in test.items.items()
        ],
        "orders": orders(presentation.listeners, stimuli, test.secret, presentation.seed, presentation.items_each),
    }
    if headphones:
        record[HEADPHONES] = _headphones_record(test, *headphones)
    return record


def _files_record(folder: str, item: str, names: Iterable[str], written: ItemFeeds) -> dict[str, Any]:
    """Files of an item, relative to the package, and what a program needs to know of them."""
    return {
        "frames": written.length,
        "loudness_gated": written.levels.gated,
        "reference": f"{folder}/{item}/reference.wav",
        "stimuli": {name: f"{folder}/{item}/{name}.wav" for name in names},
        "digests": written.digests,
    }


def _headphones_record(test: BlindTest, form: FeedFormat, feeds: Mapping[str, ItemFeeds]) -> dict[str, Any]:
    """The items for headphones, beside those for loudspeakers; see the head of this module."""
    assert form.headphones
    return {
        "layout": layout_record(form),
        "head": form.headphones.head_record,
        "signals": [f"signals/{HEADPHONES}/{name}" for name in NAMES],
        "items": [
            {
                "id": item,
                "levels": asdict(feeds[item].levels),
                **_files_record(HEADPHONES, item, test.names[item], feeds[item]),
            }
            for item in test.items
        ],
    }


def files(session: Mapping[str, Any]) -> list[str]:
    """Audio files that a session names, relative to the package."""
    return [
        path
        for part in (session, session.get(HEADPHONES, {"signals": [], "items": []}))
        for path in (
            *part["signals"],
            *(path for item in part["items"] for path in (item["reference"], *item["stimuli"].values())),
        )
    ]


def presented(session: Mapping[str, Any], seed: int) -> Presented:
    """Presentation as a session prescribes it."""
    written = session["orders"]
    items, each = len(session["items"]), len(written[0]["items"])
    counts = [items, *(len(item["stimuli"]) for item in session["items"])]
    rows = math.lcm(*(len(williams(count)) for count in counts))
    sentence = f"Items and stimuli in the order of Williams squares over the listeners, seed {seed}."
    if each < items:
        sentence += (
            f"\nEach listener rates {each} of the {items} items; each item is rated equally often, up to one."
        )
    if len(written) % rows:
        sentence += (
            f"\n{len(written)} orders do not complete the squares, which are balanced for multiples of {rows}."
        )
    return Presented(
        instruction="session.json",
        level=next(path for path in session["signals"] if path.endswith("level.wav")),
        assessors=f"Orders are prepared for {len(written)} listeners.",
        stimuli=len(session["items"][0]["stimuli"]),
        orders=sentence,
    )


def write_ratings_template(path: Path, names: dict[str, dict[str, str]], force: bool) -> None:
    """Write a CSV file with one row for each stimulus; session, listener and score are left blank."""
    rows = [f",,{item},{name}," for item, stimuli in names.items() for name in stimuli]
    with whole_file(path, force) as temporary:
        temporary.write_text("\n".join(["session,listener,item,stimulus,score", *rows]) + "\n")
