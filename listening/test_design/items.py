"""The items of a listening test: excerpts of prepared recordings, from a corpus or a user's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from listening.test_design.test_plan import Plan, item_id
from render.common.errors import InputError
from render.common.files import read_record, sha256
from render.fileio.audio_file import info
from render.fileio.scene_file import scene_name, whole_scenes
from stimuli.eigenscape.corpus import find_recordings, split
from stimuli.excerpts.selection import choose_window
from stimuli.excerpts.window import ROLL_S, Window
from stimuli.preparation.conversion import CHANNELS, RATE_HZ


@dataclass(frozen=True)
class Item:
    """One excerpt to be heard: its id, its prepared recording, what is known of the recording."""

    id: str
    path: Path
    material: str


def named_files(words: Sequence[str]) -> list[tuple[str, Path]]:
    """Item names and files from words ``FILE`` or ``NAME=FILE``; of a scene in several files one is kept.

    A word that is the path of an existing file is one, with ``=`` or without. Without a name the item is called
    after its file, as far as that can be the name of an item (`item_id`).

    Raises
    ------
    InputError
        If a name cannot be that of an item: 1 to 64 letters, digits, ``_`` or ``-``.
    """
    names: dict[Path, str] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or Path(word).exists() or not name or "/" in name:
            names.setdefault(Path(word), "")
        elif item_id(name) != name:
            raise InputError(f"{word}: {name!r} cannot be the name of an item; {item_id(name)!r} could")
        else:
            names[Path(file)] = name
    return [(names[path] or item_id(scene_name(path)), path) for path in whole_scenes(names)]


def corpus_items(folder: Path, holdout: int | str) -> list[Item]:
    """Return the held-out recordings in a folder of prepared recordings: one of every class, or all of one."""
    _, held_out = split(find_recordings(folder), holdout)
    if not held_out:
        which = f"recording number {holdout}" if isinstance(holdout, int) else f"recording of the class {holdout}"
        raise InputError(f"{folder}: has no {which}, which the excerpts are to come from")
    many = Counter(r.scene_class for r in held_out)
    return [
        item_of(r.scene_class if many[r.scene_class] == 1 else f"{r.scene_class}_{r.number}", r.path)
        for r in held_out
    ]


def item_of(name: str, path: Path) -> Item:
    """Item with what the record of its prepared recording says about where it comes from."""
    about = info(path)
    if (about.channels, about.sample_rate_hz) != (CHANNELS, RATE_HZ):
        raise InputError(
            f"{path}: {about.channels} channels at {about.sample_rate_hz} Hz, not {CHANNELS} at {RATE_HZ} Hz; "
            "run stimuli.prepare first"
        )
    return Item(name, path, str(read_record(path).get("material", "recording")))


def window_of(item: Item, plan: Plan) -> Window:
    """Excerpt of an item: the frozen one of the plan, else the one that `stimuli.excerpts.selection` chooses.

    Raises
    ------
    InputError
        If the plan froze its excerpts without this item, from another recording or beyond its end.
    """
    if not plan.excerpts:
        return choose_window(item.path, plan.seconds)
    if item.id not in plan.excerpts:
        raise InputError(f"{item.path}: item {item.id} has no frozen excerpt in the plan; freeze it again")
    frozen, about = plan.excerpts[item.id], info(item.path)
    if frozen.sha256 != sha256(item.path):
        raise InputError(f"{item.path}: is not the recording that the excerpt of {item.id} was frozen from")
    if not 0 < frozen.frames <= about.length - frozen.start:
        raise InputError(f"{item.path}: has {about.length} samples; the frozen excerpt of {item.id} is not in it")
    return Window(frozen.start, frozen.frames, round(ROLL_S * about.sample_rate_hz), None, True)
