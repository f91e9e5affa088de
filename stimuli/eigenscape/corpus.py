"""EigenScape's classes, recordings and their split into training and held-out parts.

Training and the building of listening tests both take the split from here, so that no second of a test excerpt was
ever trained on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from render.common.errors import InputError

CLASSES = (
    "Beach",
    "BusyStreet",
    "Park",
    "PedestrianZone",
    "QuietStreet",
    "ShoppingCentre",
    "TrainStation",
    "Woodland",
)
RECORDINGS = range(1, 9)  # of each class
HOLDOUT = 8
_BY_NAME = {name.lower(): name for name in CLASSES}
# Beach.1.wav as in the archives, Beach-01.wav as in their metadata; Busy Street as in some users' folders
_NAME = re.compile(r"(?P<scene>[A-Za-z ]+)[.-]0?(?P<number>[1-8])")
_SUFFIXES = {".wav", ".rf64", ".w64", ".caf"}


@dataclass(frozen=True)
class Recording:
    """One recording of the corpus: class and number 1..8."""

    path: Path
    scene_class: str
    number: int


def recording_of(path: Path) -> Recording | None:
    """Class and number from a file's name; None if it is not named like a recording of the corpus."""
    match = _NAME.fullmatch(path.stem)
    scene_class = _BY_NAME.get(match["scene"].replace(" ", "").lower()) if match else None
    return Recording(path, scene_class, int(match["number"])) if match and scene_class else None


def is_hidden(path: Path, root: Path) -> bool:
    """Whether a file below `root` is no recording whatever its name: it, or a folder on the way, is hidden.

    Interrupted commands leave temporary files behind under such names, and macOS its resource forks.
    """
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts)


def find_recordings(root: Path) -> list[Recording]:
    """Recordings below a folder, flat or in folders of any depth, sorted by class and number.

    Files are recognised by name (``Beach.1.wav``, ``Beach-01.wav``, ``Busy Street.3.wav``); other files and those
    that `is_hidden` are ignored.

    Raises
    ------
    InputError
        If the folder does not exist or holds no recording, or holds one twice.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    found: dict[tuple[str, int], Recording] = {}
    for path in sorted(root.rglob("*")):
        recording = recording_of(path)
        if recording is None or path.suffix.lower() not in _SUFFIXES or is_hidden(path, root):
            continue
        twin = found.setdefault((recording.scene_class, recording.number), recording)
        if twin is not recording:
            raise InputError(f"{path}: is the same recording as {twin.path}; remove one of the two")
    if not found:
        raise InputError(
            f"{root}: no recordings named like EigenScape's (Beach.1.wav ... Woodland.8.wav); for your own "
            'files use make stimuli INPUT="a.wav b.wav"'
        )
    return [found[key] for key in sorted(found)]


def split(recordings: list[Recording], holdout: int | str = HOLDOUT) -> tuple[list[Recording], list[Recording]]:
    """Split recordings into a training part and a held-out part.

    Parameters
    ----------
    recordings : list of Recording
    holdout : int or str
        A number from 1 to 8 holds out that recording of every class; the paper holds out the eighth. As whole
        recordings are held out, no moment of them is adjacent to training material. The name of a class holds out
        all of its recordings: the test is then on a kind of scene that was never trained on.

    Returns
    -------
    training, held_out : list of Recording

    Raises
    ------
    InputError
        If there is no such class or number.
    """
    if isinstance(holdout, str):
        if holdout not in CLASSES:
            raise InputError(f"held-out class {holdout!r}; possible are {', '.join(CLASSES)}")
        training = [r for r in recordings if r.scene_class != holdout]
        return training, [r for r in recordings if r.scene_class == holdout]
    if holdout not in RECORDINGS:
        raise InputError(f"held-out recording {holdout}; possible are 1 to 8")
    training = [r for r in recordings if r.number != holdout]
    return training, [r for r in recordings if r.number == holdout]


def recording_numbers(text: str) -> list[int]:
    """Numbers of recordings from the text of an option --recordings, such as "1,8" or "1-7"."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not all(number.isascii() and number.isdecimal() for number in (first, last or first)):
            raise InputError(f"--recordings {text!r}: need numbers 1 to 8, as in 1,8 or 1-7")
        for number in (first, last or first):  # before a range of any length is made
            if len(number) > 9 or int(number) not in RECORDINGS:
                raise InputError(f"recording {number[:20]}; possible are 1 to 8")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
