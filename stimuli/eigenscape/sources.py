"""Recordings in the forms that users have them: EigenScape flat, in folders or zip files, or other ambiX files."""

from __future__ import annotations

import errno
import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from render.common.errors import InputError
from render.common.files import errors_name, temporary_folder
from render.fileio.scene_file import scene_name, whole_scenes
from stimuli.eigenscape.corpus import Recording, is_hidden, recording_of

AUDIO_SUFFIXES = {".wav", ".rf64", ".w64", ".caf", ".flac", ".amb"}
_BEGINNINGS = (b"RIFF", b"RF64", b"BW64", b"riff", b"caff", b"fLaC")
_FIRST_BYTES = 1 << 16
_MAX_BYTES = 1 << 40  # of a recording: no disk has room for more
# Errors of zipfile and of its decompressors: a missing name is a KeyError, a name that is no text a ValueError
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError, EOFError,
    KeyError, IndexError, ValueError, OverflowError, MemoryError,
)  # fmt: skip


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
        return f"{scene_name(PurePosixPath(self.member or self.path.name))}.wav"


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
    files = whole_scenes(path for path in found if path.is_file() and not is_hidden(path, root))
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
            if scene_name(pure) != pure.stem:
                raise InputError(
                    f"{path}: {name} is a part of a scene in several files, and parts are joined in folders only; "
                    "unpack the zip file into a folder of its own, and name that folder instead"
                )
            found.append(Source(path, name, recording_of(Path(pure.name))))
    return found


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file; whatever Python's modules raise for a damaged one becomes one error."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except OSError as error:
        # bz2 raises an OSError without a number; an impossible offset is an invalid argument of seek
        if error.filename is not None or error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(path, error) from None
    except _DAMAGED as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: the zip file is damaged or encrypted ({error}); download it again")


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
        with (
            errors_name(folder),
            open(target, "wb") as file,
            _archive(source.path) as archive,
            archive.open(source.member) as packed,
        ):
            shutil.copyfileobj(packed, file, 1 << 20)
            if file.tell() != archive.getinfo(source.member).file_size:
                raise zipfile.BadZipFile(f"{source.member} is shorter than its directory says")
        yield target


@contextmanager
def first_bytes(source: Source, folder: Path) -> Iterator[Path]:
    """Path of a file with the size and the first bytes of a member of a zip file; the rest is zeros.

    It takes up no more of the disk than these bytes. What they tell is known before gigabytes are unpacked.

    Raises
    ------
    InputError
        If they are not those of an audio file.
    """
    with _archive(source.path) as archive:
        size = archive.getinfo(source.member).file_size
        with archive.open(source.member) as packed:
            begin = packed.read(_FIRST_BYTES)
    with temporary_folder(folder / source.name) as temporary:
        if not begin.startswith(_BEGINNINGS) or size > _MAX_BYTES:
            raise InputError(
                f"{source}: {size} bytes that begin with {begin[:4]!r} are not an audio file; "
                "convert it to WAV, RF64, W64, CAF or FLAC"
            )
        target = temporary / source.name
        with errors_name(folder), open(target, "wb") as file:
            file.write(begin)
            file.truncate(size)
        yield target
