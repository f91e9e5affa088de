"""The package of a listening test: blinded loudspeaker feeds, session or configuration, key and test plan."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.metrics.built_test import REFERENCE
from listening.packaging import session, webmushra
from listening.packaging.blinding import BLIND_NAME, BlindTest, key_path
from listening.packaging.loudspeaker_feeds import EPOCH_S, FeedFormat, ItemFeeds, write_item
from listening.packaging.plan_report import document
from listening.packaging.room_signals import write_signals
from render.common.errors import InputError
from render.common.files import temporary_folder, whole_file, write_json
from render.common.parallel import in_parallel
from render.common.progress import progress
from render.hoa.layout import layout


@dataclass(frozen=True)
class Package:
    """Where a package lies and what kind it is.

    Attributes
    ----------
    folder : Path
    kind : str
        ``wav`` (a folder), ``bundle`` (the same also as one zip file) or ``webmushra``.
    label : str
        Name of the layout in file names.
    force : bool
        Whether files that differ are replaced.
    """

    folder: Path
    kind: str
    label: str
    force: bool = False

    @property
    def test_id(self) -> str:
        """Id of the test, as webMUSHRA names its folder."""
        return "test_" + re.sub(r"[^A-Za-z0-9]", "_", self.label)

    @property
    def audio(self) -> Path:
        """Folder of the items' files."""
        return self.folder / webmushra.FOLDER / self.test_id if self.kind == "webmushra" else self.folder / "audio"

    @property
    def signals(self) -> Path:
        """Folder of the signals for setting up the room."""
        return (self.audio if self.kind == "webmushra" else self.folder) / "signals"

    @property
    def bundle(self) -> Path:
        """The package as one zip file."""
        folder = Path(os.path.abspath(self.folder))
        return folder.with_name(folder.name + ".zip")


def layout_label(name: str) -> str:
    """Name of a layout in file names; a layout may be given as a file of measured positions."""
    return Path(name).stem if name.endswith(".toml") else name


def package_of(
    build: Path, layout_name: str, kind: str, folder: Path | None = None, force: bool = False
) -> Package:
    """Package of a build for a layout; by default it lies in ``package-<layout>`` or ``webmushra-<layout>``."""
    label = layout_label(layout_name)
    prefix = "webmushra" if kind == "webmushra" else "package"
    return Package(folder or build / f"{prefix}-{label}", kind, label, force)


def feed_format(layout_name: str, decoder: str, channel_order: str, kind: str) -> FeedFormat:
    """Format of a package's feeds: 24-bit files, but 32-bit floats for webMUSHRA.

    Raises
    ------
    InputError
        If there is no such layout.
    """
    return FeedFormat(
        layout(layout_name), decoder, channel_order, webmushra.SUBTYPE if kind == "webmushra" else "PCM_24"
    )


def export(
    test: BlindTest, package: Package, form: FeedFormat, presentation: session.Presentation, workers: int
) -> tuple[Path, dict[str, ItemFeeds]]:
    """Write a package and, beside it, its key and test plan.

    Parameters
    ----------
    test : BlindTest
    package : Package
    form : FeedFormat
        How the feeds are rendered and written.
    presentation : Presentation
        For how many listeners orders are made.
    workers : int
        Items that are rendered at the same time.

    Returns
    -------
    key : Path
    feeds : dict
        Item -> what was written for it.

    Raises
    ------
    InputError
        If a scene is not what the manifest says, if files exist that differ or belong to the export of another
        build (both unless `package.force`), or if the package's folder would hold the build.
    """
    if not 1 <= presentation.listeners <= 1000:
        raise InputError(f"--listeners {presentation.listeners}: possible are 1 to 1000")
    key_file = key_path(test.build, package.folder)
    _clear_other_export(package, test.names)
    with temporary_folder(key_file) as temporary:
        feeds = _write_audio(test, package, form, temporary, workers)
    write_signals(package.signals, form, package.force)
    if package.kind == "webmushra":
        title = f"MUSHRA, {package.label.replace('+', '-')}"  # it sends its texts unencoded
        texts = (title, session.INSTRUCTION, session.TRAINING)
        configurations = webmushra.write_configurations(
            package.folder, package.test_id, texts, test.names, package.force
        )
        presented = webmushra.presented(configurations)
    else:
        record = session.session_record(test, form, feeds, presentation)
        write_json(package.folder / "session.json", record, package.force)
        session.write_ratings_template(package.folder / "ratings_template.csv", test.names, package.force)
        if package.kind == "bundle":
            _write_bundle(package, ["session.json", "ratings_template.csv", *session.files(record)])
        presented = session.presented(record, presentation.seed)
    key = {
        "layout": package.label,
        "decoder": form.decoder,
        "manifest_sha256": test.secret.hex(),
        "items": test.names,
        "orders_seed": presentation.seed,
        "levels": {item: asdict(feeds[item].levels) for item in test.items},
    }
    write_json(key_file, key, package.force)
    levels = {item: feeds[item].levels for item in test.items}
    text = document(test.plan, test.items, levels, session.layout_record(form), presented)
    with whole_file(key_file.with_name(key_file.stem.replace("key-", "test-plan-", 1) + ".md"), True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    _make_times_equal(package.folder)
    return key_file, {item: feeds[item] for item in test.items}


def _write_audio(
    test: BlindTest, package: Package, form: FeedFormat, temporary: Path, workers: int
) -> dict[str, ItemFeeds]:
    """Render and write the audio of all items, several at the same time.

    What is rendered on the way is named by its condition. It lies in the temporary folder beside the key and not
    in the package: even a process that is killed leaves nothing there that tells a condition.
    """
    jobs = {}
    for item, entry in test.items.items():
        scenes = {name: (test.build / made["file"], made["sha256"]) for name, made in entry["conditions"].items()}
        names = test.names[item]
        if package.kind == "webmushra":  # it plays the open reference as the hidden one
            names = {name: condition for name, condition in names.items() if condition != REFERENCE}
        jobs[item] = (scenes, names, package.audio / item, temporary, form, test.plan, package.force)
    rendered = in_parallel(write_item, jobs, workers)
    return dict(progress(rendered, f"render to {form.layout.name}, item", len(jobs)))


def _clear_other_export(package: Package, names: dict[str, dict[str, str]]) -> None:
    """Refuse a folder with audio of another build, which would be mixed with this one's; `force` removes it.

    Removed in any case are folders in which earlier versions rendered inside the package and were killed.
    """
    for left in package.audio.glob(".rendering-*"):
        shutil.rmtree(left)
    expected = {(item, name) for item, stimuli in names.items() for name in ("reference", *stimuli)}
    for path in sorted(package.audio.glob("*/*.wav")):
        if not BLIND_NAME.fullmatch(path.stem) or (path.parent.name, path.stem) in expected:
            continue
        if not package.force:
            raise InputError(
                f"{path}: belongs to the export of another build or of an earlier version, whose ratings need "
                "its key; export to another folder with -o, or replace both with --force"
            )
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _make_times_equal(folder: Path) -> None:
    """Give all files one time stamp, as their order in time would reveal conditions."""
    for name in ("audio", "configs", "signals", "session.json", "ratings_template.csv"):
        for path in (folder / name, *(folder / name).rglob("*")):
            if path.exists():
                os.utime(path, (EPOCH_S, EPOCH_S))


def _write_bundle(package: Package, files: Iterable[str]) -> None:
    """Pack these files of the package, and nothing else that lies in its folder, into one zip file.

    They are not compressed: how well a file compresses would reveal its condition.
    """
    with (
        whole_file(package.bundle, package.force) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name in sorted(files):
            path = package.folder / name
            entry = zipfile.ZipInfo(f"{package.bundle.stem}/{name}", (2000, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            with open(path, "rb") as file, archive.open(entry, "w", force_zip64=True) as packed:
                while block := file.read(1 << 20):
                    packed.write(block)


def level_lines(feeds: Mapping[str, ItemFeeds]) -> Iterator[str]:
    """Table of the levels: loudness of the rendered reference, gain, and true peak after the gain."""
    yield f"{'item':>16}  loudness     gain   true peak after gain"
    for item, written in feeds.items():
        levels = written.levels
        ungated = "" if levels.gated else "  (ungated: shorter than 0.4 s)"
        after = levels.true_peak_dbtp + levels.gain_db
        yield (
            f"{item:>16}  {levels.loudness_lufs:6.1f} LUFS {levels.gain_db:+6.1f} dB  {after:6.1f} dBTP{ungated}"
        )
