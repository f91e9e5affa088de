"""Recordings in the forms that users have them: EigenScape flat, in folders or zip files, or other ambiX files."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from render.common.errors import InputError
from render.common.files import temporary_folder
from stimuli.eigenscape.corpus import Recording, is_hidden, recording_of

AUDIO_SUFFIXES = {".wav", ".rf64", ".w64", ".caf", ".flac"}


@dataclass(frozen=True)
class Source:
    """One recording to be prepared.

    Attributes
    ----------
    path : Path
        The audio file, or the zip file that contains it.
    member : str
        Name of the audio file in the zip file; empty if `path` is the audio file itself.
    recording : Recording or None
        Class and number, if the file is named like one of EigenScape's.
    """

    path: Path
    member: str = ""
    recording: Recording | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Name of the prepared file: ``Beach.1.wav``, in whatever style the original was named."""
        if self.recording:
            return f"{self.recording.scene_class}.{self.recording.number}.wav"
        return f"{PurePosixPath(self.member or self.path.name).stem}.wav"


def find_sources(root: Path) -> list[Source]:
    """Find the recordings below a folder, or in a single audio or zip file, sorted by name.

    If some are named like EigenScape's, in the folder or in zip files, they are returned alone; otherwise every
    audio file is.

    Raises
    ------
    InputError
        If there are no audio files, a zip file is damaged, or two files would be prepared under the same name.
    """
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    if root.is_file() and root.suffix.lower() != ".zip":
        return [Source(root, "", recording_of(root))]
    found = [root] if root.is_file() else sorted(root.rglob("*"))
    files = [path for path in found if path.is_file() and not is_hidden(path, root)]
    sources = [Source(p, "", recording_of(p)) for p in files if p.suffix.lower() in AUDIO_SUFFIXES]
    for path in files:
        if path.suffix.lower() == ".zip":
            sources += _members(path)
    if any(source.recording for source in sources):
        sources = [source for source in sources if source.recording]
    if not sources:
        suffixes = ", ".join(sorted(AUDIO_SUFFIXES))
        raise InputError(f"{root}: no audio files ({suffixes}), neither here nor in zip files")
    named: dict[str, Source] = {}
    for source in sources:
        twin = named.setdefault(source.name.lower(), source)
        if twin is not source:
            relation = "is the same recording as" if source.recording else "has the same name as"
            raise InputError(f"{source}: {relation} {twin}; remove one of the two")
    return [named[name] for name in sorted(named)]


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
        raise InputError(f"{path}: the zip file is damaged or encrypted ({error}); download it again") from None


def member_record(source: Source) -> dict[str, object]:
    """Identity of a member of a zip file, which shows without unpacking whether it has changed."""
    with _archive(source.path) as archive:
        about = archive.getinfo(source.member)
    return {"archive": source.path.name, "member": source.member, "crc32": about.CRC, "bytes": about.file_size}


@contextmanager
def as_file(source: Source, folder: Path) -> Iterator[Path]:
    """Path of a source's audio file; a member of a zip file is unpacked below `folder` and removed afterwards.

    The name of the member in the zip file has no influence on where it is written, so that no archive can write
    outside of `folder`.
    """
    if not source.member:
        yield source.path
        return
    with temporary_folder(folder / source.name) as temporary:
        target = temporary / source.name
        with _archive(source.path) as archive, archive.open(source.member) as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        yield target
