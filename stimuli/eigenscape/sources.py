"""Recordings as they come: EigenScape flat, in folders or in its zip files, or any other ambiX files."""

from __future__ import annotations

import csv
import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from render.common.errors import InputError
from stimuli.eigenscape.corpus import Recording, recording_of

AUDIO_SUFFIXES = {".wav", ".rf64", ".w64", ".caf", ".flac"}
METADATA = "Metadata-EigenScape.csv"
CHECKSUMS = Path(__file__).with_name("eigenscape.csv")


@dataclass(frozen=True)
class Source:
    """One recording to be prepared.

    Attributes
    ----------
    path : Path
        The audio file, or the zip file that it lies in.
    member : str
        Its name in the zip file; empty if there is none.
    recording : Recording or None
        Class and number, if it is named like one of EigenScape's.
    """

    path: Path
    member: str = ""
    recording: Recording | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Name of the prepared file: ``Beach.1.wav``, whatever the original's style was."""
        if self.recording:
            return f"{self.recording.scene_class}.{self.recording.number}.wav"
        return f"{PurePosixPath(self.member or self.path.name).stem}.wav"


def find(root: Path) -> list[Source]:
    """Find what can be prepared below a folder, or in a single audio or zip file, sorted by name.

    A folder with recordings named like EigenScape's (also in zip files) stands for these alone; otherwise
    every audio file in it counts.

    Raises
    ------
    InputError
        If there is nothing, a zip file is damaged, or two files would be prepared under the same name.
    """
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    if root.is_file() and root.suffix.lower() != ".zip":
        return [Source(root, "", recording_of(root))]
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file() and _visible(p, root))
    sources = [Source(p, "", recording_of(p)) for p in files if p.suffix.lower() in AUDIO_SUFFIXES]
    for path in files:
        if path.suffix.lower() == ".zip":
            sources += _members(path)
    if any(source.recording for source in sources):
        sources = [source for source in sources if source.recording]
    if not sources:
        raise InputError(f"{root}: no audio files ({', '.join(sorted(AUDIO_SUFFIXES))}), also not in zip files")
    named: dict[str, Source] = {}
    for source in sources:
        twin = named.setdefault(source.name.lower(), source)
        if twin is not source:
            what = "the same recording as" if source.recording else "has the name of"
            raise InputError(f"{source}: {what} {twin}; remove one of the two")
    return [named[name] for name in sorted(named)]


def _visible(path: Path, root: Path) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts)


def _members(path: Path) -> list[Source]:
    with _archive(path) as archive:
        names = [one.filename for one in archive.infolist() if not one.is_dir()]
    found = []
    for name in names:
        pure = PurePosixPath(name)
        if pure.suffix.lower() in AUDIO_SUFFIXES and not pure.name.startswith(".") and "__MACOSX" not in name:
            found.append(Source(path, name, recording_of(Path(pure.name))))
    return found


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: a damaged or encrypted zip file ({error}); download it again") from None


def stamp(source: Source) -> dict[str, object]:
    """What tells whether a member of a zip file is the same as before, without unpacking it."""
    with _archive(source.path) as archive:
        about = archive.getinfo(source.member)
    return {"archive": source.path.name, "member": source.member, "crc32": about.CRC, "bytes": about.file_size}


@contextmanager
def as_file(source: Source, folder: Path) -> Iterator[Path]:
    """Path of a source's audio file; a member of a zip file is unpacked below `folder` for as long as needed.

    Its name in the zip file decides nothing about where it is written, and no more is written than it
    declares.
    """
    if not source.member:
        yield source.path
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".unpacked-", dir=folder) as place:
        target = Path(place) / source.name
        with _archive(source.path) as archive, archive.open(source.member) as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        yield target


def check_md5(recording: Recording | None, path: Path) -> None:
    """Raise `InputError` unless a recording of EigenScape has the MD5 that is listed for it."""
    if recording is None:
        return
    listed = _listed()[f"{recording.scene_class}.{recording.number}"]
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != listed:
        raise InputError(
            f"{path}: its MD5 is {found}, EigenScape's {recording.scene_class}.{recording.number} has {listed}; "
            "damaged, or from another release: download it again"
        )


def _listed() -> dict[str, str]:
    with open(CHECKSUMS, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["recording"]: row["md5"] for row in rows}


def locations(root: Path) -> dict[tuple[str, int], str]:
    """Where each recording was made, from the corpus's metadata table; empty if it is not there."""
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
    """Sentences about held-out recordings that were made where a training recording was made."""
    trained: dict[str, list[Recording]] = {}
    for one in training:
        if place := places.get((one.scene_class, one.number)):
            trained.setdefault(place.casefold(), []).append(one)
    told = []
    for one in held_out:
        place = places.get((one.scene_class, one.number), "")
        if twins := trained.get(place.casefold()):
            names = ", ".join(f"{twin.scene_class}.{twin.number}" for twin in twins)
            told.append(f"{one.scene_class}.{one.number} was recorded at the place of {names} ({place})")
    return told
