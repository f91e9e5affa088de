"""An exported package as a running test reads it: every file verified once, before the first listener.

session.json is written by `listening.packaging.session`. Beside the feeds for loudspeakers a package may hold a
headphone rendition of the same items, under the same blind names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from render.common.errors import InputError
from render.common.files import read_json, sha256

VERSION = 1
"""Of session.json; the files of earlier exports do not state it."""

BINAURAL = "binaural"
"""Layout of a package for headphones alone."""

SIGNALS = ("identification", "level", "tone")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BLIND_NAME = re.compile(r"[0-9a-f]{8}")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Stimulus:
    """One sound file: where it lies, and the SHA-256 of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Item:
    """The files of one item in one rendition; all have `frames` samples per channel."""

    frames: int
    reference: Stimulus
    stimuli: Mapping[str, Stimulus]


@dataclass(frozen=True)
class Rendition:
    """The test for one kind of transducer.

    Attributes
    ----------
    layout : dict
        Name, channel_order and channels, as session.json has them.
    sample_rate_hz : int
    items : dict
    signals : dict
        Of `SIGNALS`, those that there are.
    """

    layout: Mapping[str, Any]
    sample_rate_hz: int
    items: Mapping[str, Item]
    signals: Mapping[str, Path]


@dataclass(frozen=True)
class TestPackage:
    """What a package holds.

    Attributes
    ----------
    folder : Path
    sha256 : str
        Of session.json.
    title : str
    training : tuple of str
        Items of the training.
    renditions : dict
        "loudspeakers" or "headphones" -> `Rendition`.
    orders : tuple
        For each prepared listener, ``items`` in order and ``stimuli``, item -> blind names in order.
    """

    folder: Path
    sha256: str
    title: str
    training: tuple[str, ...]
    renditions: Mapping[str, Rendition]
    orders: tuple[Mapping[str, Any], ...]

    def session_name(self, transducer: str) -> str:
        """Name of a session with this transducer: the layout that was rendered, and how it was heard."""
        layout = next(iter(self.renditions.values())).layout["name"]
        return f"{layout}-{transducer}"

    @property
    def items(self) -> Mapping[str, Item]:
        """Items with their stimuli, which are the same in all renditions."""
        return next(iter(self.renditions.values())).items


@dataclass(frozen=True)
class _File:
    """What session.json says of a sound file."""

    path: Path
    channels: int
    sample_rate_hz: int
    frames: int | None
    digest: str | None
    digest_name: str


def read_package(folder: Path, workers: int = 2) -> TestPackage:
    """Read a package and verify every sound file: format, length and digest.

    Raises
    ------
    InputError
        If the package is of another version, lacks a file, or a file is not what session.json says.
    """
    file = folder / "session.json"
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; a package is a folder that listening.export has written")
    session = read_json(file)
    if isinstance(session, dict) and session.get("version", VERSION) != VERSION:
        raise InputError(
            f"{file}: is of version {session['version']!r}, this program reads version {VERSION}; "
            "export the package again, or use the program that wrote it"
        )
    try:
        files = list(_files(folder, session))
        with ThreadPoolExecutor(workers) as pool:  # hashing and reading release the interpreter's lock
            digests = dict(zip([one.path for one in files], pool.map(_verified, files), strict=True))
        return _package(folder, session, digests)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise InputError(
            f"{file}: is not the session.json of a package ({type(error).__name__}: {error}); export it again"
        ) from error


def _renditions(session: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Transducer, layout, and where the files are named."""
    alone = session["layout"]["name"] == BINAURAL
    yield "headphones" if alone else "loudspeakers", session["layout"], session
    if "headphones" in session:
        yield "headphones", session["headphones"]["layout"], session["headphones"]


def _files(folder: Path, session: Mapping[str, Any]) -> Iterator[_File]:
    """Every sound file of a package, once."""
    rate = session["audio"]["sample_rate_hz"]
    for _, layout, named in _renditions(session):
        channels = len(layout["channels"])
        for item in named["items"]:
            if not _NAME.fullmatch(item["id"]) or not all(map(_BLIND_NAME.fullmatch, item["stimuli"])):
                raise InputError(
                    f"{folder / 'session.json'}: item {item['id']!r} or a stimulus of it has no valid name"
                )
            names = [item["reference"], *item["stimuli"].values()]
            for name in names:
                path = _inside(folder, name)
                digest = item["digests"][path.name]
                yield _File(path, channels, rate, item["frames"], digest, f"{item['id']}/{path.name}")
        for name in named.get("signals", ()):
            yield _File(_inside(folder, name), channels, rate, None, None, name)


def _inside(folder: Path, name: str) -> Path:
    """Path of a file of the package; a name that leads elsewhere is refused."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder / 'session.json'}: names {name!r}, which lies outside the package")
    return path


def _verified(file: _File) -> str:
    """Check one file; return the SHA-256 of its bytes."""
    if not file.path.is_file():
        raise InputError(f"{file.path}: is missing, but session.json names it; export or copy the package again")
    try:
        info = soundfile.info(str(file.path))
    except soundfile.LibsndfileError as error:
        raise InputError(f"{file.path}: is no sound file that can be read ({error})") from error
    if info.format not in ("WAV", "WAVEX"):
        raise InputError(f"{file.path}: is {info.format}, but a package holds WAV files; export again")
    for what, found, right in (
        ("channels", info.channels, file.channels),
        ("sample rate in Hz", info.samplerate, file.sample_rate_hz),
        ("frames", info.frames, file.frames),
    ):
        if right is not None and found != right:
            raise InputError(f"{file.path}: {what}: {found} found, but session.json says {right}; export again")
    plain = hashlib.sha256()
    named = hashlib.sha256(file.digest_name.encode() + b"\0")
    with open(file.path, "rb") as opened:
        while block := opened.read(_BLOCK):
            plain.update(block)
            named.update(block)
    if file.digest is not None and named.hexdigest() != file.digest:
        raise InputError(
            f"{file.path}: the audio was changed after the export (its digest is not that of session.json); "
            "copy or export the package again"
        )
    return plain.hexdigest()


def _package(folder: Path, session: Mapping[str, Any], digests: Mapping[Path, str]) -> TestPackage:
    renditions = {}
    for transducer, layout, named in _renditions(session):
        items = {}
        for item in named["items"]:
            made = {name: _stimulus(_inside(folder, file), digests) for name, file in item["stimuli"].items()}
            items[item["id"]] = Item(item["frames"], _stimulus(_inside(folder, item["reference"]), digests), made)
        signals = {Path(name).stem: _inside(folder, name) for name in named.get("signals", ())}
        rate = session["audio"]["sample_rate_hz"]
        renditions[transducer] = Rendition(layout, rate, items, signals)
    _check_orders(folder, session, renditions)
    return TestPackage(
        folder=folder,
        sha256=sha256(folder / "session.json"),
        title=str(session["title"]),
        training=tuple(session["training"]["items"]),
        renditions=renditions,
        orders=tuple(session["orders"]),
    )


def _stimulus(path: Path, digests: Mapping[Path, str]) -> Stimulus:
    return Stimulus(path, digests[path])


def _check_orders(folder: Path, session: Mapping[str, Any], renditions: Mapping[str, Rendition]) -> None:
    """Every order must be equally many of the items, each once, and a permutation of their stimuli, everywhere."""
    for rendition in renditions.values():
        expected = {item: sorted(files.stimuli) for item, files in rendition.items.items()}
        complete = bool(session["orders"]) and bool(expected)
        for order in session["orders"]:
            ordered = {item: sorted(names) for item, names in order["stimuli"].items()}
            chosen = order["items"]
            complete = complete and ordered == expected and 0 < len(chosen) == len(set(chosen) & set(expected))
            complete = complete and len(chosen) == len(session["orders"][0]["items"])
        if not complete or not set(session["training"]["items"]) <= set(expected):
            raise InputError(
                f"{folder / 'session.json'}: its orders, training and renditions do not name the same items and "
                "stimuli; export the package again"
            )
