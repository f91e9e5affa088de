"""What is published beside EigenScape's recordings: MD5 sums, and the places where they were made."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from render.common.errors import InputError
from stimuli.eigenscape.corpus import Recording, recording_of

METADATA = "Metadata-EigenScape.csv"
CHECKSUMS = Path(__file__).with_name("eigenscape.csv")


def check_md5(recording: Recording | None, path: Path) -> None:
    """Raise `InputError` unless a recording of EigenScape has its published MD5; others pass unchecked."""
    if recording is None:
        return
    published = published_md5()[f"{recording.scene_class}.{recording.number}"]
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if actual != published:
        raise InputError(
            f"{path}: its MD5 is {actual}, EigenScape's {recording.scene_class}.{recording.number} has "
            f"{published}; it is damaged or from another release: download it again"
        )


def published_md5() -> dict[str, str]:
    """MD5 of every recording: ``Beach.1`` -> 32 hexadecimal digits."""
    with open(CHECKSUMS, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["recording"]: row["md5"] for row in rows}


def locations(root: Path) -> dict[tuple[str, int], str]:
    """Where each recording (class, number) was made, from the corpus's table; empty if `root` does not hold it."""
    path = next(iter(sorted(root.rglob(METADATA))), None) if root.is_dir() else None
    if path is None:
        return {}
    places = {}
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        for row in csv.DictReader(file):
            recording = recording_of(Path((row.get("Filename") or "").strip()))
            place = " ".join((row.get("Location") or "").split())
            if recording and place:
                places[recording.scene_class, recording.number] = place
    return places


def shared_locations(
    training: list[Recording], held_out: list[Recording], places: dict[tuple[str, int], str]
) -> list[str]:
    """Sentences about held-out recordings that were made at the same place as a training recording."""
    trained: dict[str, list[Recording]] = {}
    for recording in training:
        if place := places.get((recording.scene_class, recording.number)):
            trained.setdefault(place.casefold(), []).append(recording)
    sentences = []
    for recording in held_out:
        place = places.get((recording.scene_class, recording.number), "")
        if twins := trained.get(place.casefold()):
            names = ", ".join(f"{twin.scene_class}.{twin.number}" for twin in twins)
            sentences.append(
                f"{recording.scene_class}.{recording.number} was recorded at the same place as {names} ({place})"
            )
    return sentences
