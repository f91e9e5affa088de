"""The package of a listening test: blinded feeds, session or configuration, key and test plan."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import REFERENCE
from listening.packaging import session, webmushra
from listening.packaging.blinding import BLIND_NAME, BlindTest, key_path
from listening.packaging.feeds import EARS, EPOCH_S, FeedFormat, ItemFeeds, headphone_format, write_item
from listening.packaging.package_readme import NAME as README
from listening.packaging.package_readme import readme
from listening.packaging.plan_report import Presented, document
from listening.packaging.report_facts import known_facts, write_facts
from listening.packaging.room_signals import write_signals
from render.common.errors import InputError
from render.common.files import read_json, temporary_folder, whole_file, write_json
from render.common.parallel import in_parallel, workers_need
from render.common.progress import progress
from render.hoa.layout import is_layout_file, layout
from render.loudspeakers.design import decoder_name

BINAURAL = EARS.name
SESSION, RATINGS_TEMPLATE = "session.json", "ratings_template.csv"


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
    def headphones(self) -> Path:
        """Folder of the items' files for headphones, beside those for loudspeakers."""
        return self.folder / session.HEADPHONES

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
    return Path(name).stem if is_layout_file(name) else name


def package_of(
    build: Path, layout_name: str, kind: str, folder: Path | None = None, force: bool = False
) -> Package:
    """Package of a build for a layout; by default it lies in ``package-<layout>`` or ``webmushra-<layout>``."""
    label = layout_label(layout_name)
    prefix = "webmushra" if kind == "webmushra" else "package"
    return Package(folder or build / f"{prefix}-{label}", kind, label, force)


def feed_format(
    layout_name: str, decoder: str | None, channel_order: str, kind: str, sofa: Path | None = None
) -> FeedFormat:
    """Format of a package's feeds: 24-bit files, but 32-bit floats for webMUSHRA.

    Parameters
    ----------
    layout_name : str
        Layout of loudspeakers, or ``binaural`` for headphones.
    decoder : str, optional
        For loudspeakers; ``adm`` without it.
    channel_order, kind : str
    sofa : Path, optional
        Head-related responses for ``binaural``.

    Raises
    ------
    InputError
        If there is no such layout, or a decoder is given for headphones.
    """
    subtype = webmushra.SUBTYPE if kind == "webmushra" else "PCM_24"
    if layout_name == BINAURAL:
        if decoder:
            raise InputError(f"--decoder {decoder}: layout binaural decodes to no loudspeakers; leave it out")
        return headphone_format(sofa, subtype)
    return FeedFormat(layout(layout_name), decoder or "adm", channel_order, subtype)


def both_formats(
    layout_name: str, decoder: str | None, channel_order: str, kind: str, sofa: Path | None, binaural: bool
) -> tuple[FeedFormat, FeedFormat | None]:
    """Format of a package's feeds, and of the headphone feeds beside them, if wanted; see `feed_format`.

    Raises
    ------
    InputError
        Also if the package has no place for headphone feeds, or nothing that a head could hear.
    """
    if sofa and not (binaural or layout_name == BINAURAL):
        raise InputError(f"--sofa {sofa}: only headphones need it; give --layout binaural or --binaural too")
    if binaural and layout_name == BINAURAL:
        raise InputError("--binaural adds headphones to a loudspeaker layout; --layout binaural is for them alone")
    if binaural and kind == "webmushra":
        raise InputError(
            "--binaural: webMUSHRA's package holds one kind of feeds; export --layout binaural for headphones"
        )
    form = feed_format(layout_name, decoder, channel_order, kind, sofa)
    return form, headphone_format(sofa, form.subtype, via=form) if binaural else None


@dataclass(frozen=True)
class Exported:
    """What was written: the key's path, and for each item its feeds and its headphone feeds beside them."""

    key: Path
    feeds: dict[str, ItemFeeds]
    headphones: dict[str, ItemFeeds]


def export(
    test: BlindTest,
    package: Package,
    form: FeedFormat,
    presentation: session.Presentation,
    workers: int,
    headphones: FeedFormat | None = None,
) -> Exported:
    """Write a package and, beside it, its key, its test plan and the facts for its report.

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
    headphones : FeedFormat, optional
        How headphone feeds are made beside those for loudspeakers.

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
    ear_feeds: dict[str, ItemFeeds] = {}
    with temporary_folder(key_file) as temporary:
        feeds = _write_audio(test, package, package.audio, form, temporary, workers)
        if headphones:
            ear_feeds = _write_audio(test, package, package.headphones, headphones, temporary, workers)
    write_signals(package.signals, form, package.force)
    if headphones:
        write_signals(package.signals / session.HEADPHONES, headphones, package.force)
    if package.kind == "webmushra":
        title, presented = _write_configurations(test, package, form)
    else:
        beside = (headphones, ear_feeds) if headphones else None
        title, presented = _write_session(test, package, form, feeds, presentation, beside)
    speakers = session.layout_record(form)
    text = readme(package.folder, package.kind, title, speakers, key_file.name, presented.stimuli,
                  package.test_id, bool(headphones))  # fmt: skip
    with whole_file(package.folder / README, package.force) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if package.kind == "bundle":
        _write_bundle(package)
    key = {
        "layout": package.label,
        **_rendering_record(form),
        "manifest_sha256": test.secret.hex(),
        "items": test.names,
        "orders_seed": presentation.seed,
        "levels": {item: asdict(written.levels) for item, written in feeds.items()},
    }
    if headphones:
        levels = {item: asdict(written.levels) for item, written in ear_feeds.items()}
        key["headphones"] = {**_rendering_record(headphones), "levels": levels}
    write_json(key_file, key, package.force)
    measured = {item: written.levels for item, written in feeds.items()}
    described = (test.plan, test.items, measured, speakers, presented, form.headphones)
    label = key_file.stem.removeprefix("key-")
    with whole_file(key_file.with_name(f"test-plan-{label}.md"), True) as temporary:
        # names of files that are no UTF-8 hold lone surrogates
        temporary.write_text(document(*described, bool(headphones)), encoding="utf-8", errors="backslashreplace")
    write_facts(key_file.with_name(f"facts-{label}.toml"), known_facts(title, *described))
    _make_times_equal(package.folder)
    return Exported(key_file, feeds, ear_feeds)


def _write_configurations(test: BlindTest, package: Package, form: FeedFormat) -> tuple[str, Presented]:
    """Write webMUSHRA's configurations; return the title and what they say of the presentation."""
    title = f"MUSHRA, {package.label.replace('+', '-')}"  # it sends its texts unencoded
    level = "The tone must be heard in both ears" if form.headphones else "All loudspeakers must be heard"
    texts = (title, session.INSTRUCTION, session.TRAINING, level)
    configurations = webmushra.write_configurations(
        package.folder, package.test_id, texts, test.names, package.force
    )
    return title, webmushra.presented(configurations)


def _write_session(
    test: BlindTest,
    package: Package,
    form: FeedFormat,
    feeds: Mapping[str, ItemFeeds],
    presentation: session.Presentation,
    beside: tuple[FeedFormat, Mapping[str, ItemFeeds]] | None,
) -> tuple[str, Presented]:
    """Write session.json and the template for ratings; return as `_write_configurations` does."""
    record = session.session_record(test, form, feeds, presentation, beside)
    write_json(package.folder / SESSION, record, package.force)
    session.write_ratings_template(package.folder / RATINGS_TEMPLATE, test.names, package.force)
    return record["title"], session.presented(record, presentation.seed)


def _rendering_record(form: FeedFormat) -> dict[str, Any]:
    """How feeds were made, for the key."""
    head = {"head": form.headphones.head_record} if form.headphones else {}
    return {"decoder": decoder_name(form.decoder), **head}


def _write_audio(
    test: BlindTest, package: Package, folder: Path, form: FeedFormat, temporary: Path, workers: int
) -> dict[str, ItemFeeds]:
    """Render and write the audio of all items to `folder`, several at the same time.

    What is rendered on the way is named by its condition. It lies in the temporary folder beside the key and not
    in the package: even a process that is killed leaves nothing there that tells a condition.
    """
    jobs = {}
    for item, entry in test.items.items():
        scenes = {name: (test.build / made["file"], made["sha256"]) for name, made in entry["conditions"].items()}
        names = test.names[item]
        if package.kind == "webmushra":  # it plays the open reference as the hidden one
            names = {name: condition for name, condition in names.items() if condition != REFERENCE}
        jobs[item] = (scenes, names, folder / item, temporary, form, test.plan, package.force)
    workers_need("scipy.signal")  # of the true peak, and of the loudness, which import them late
    workers_need("render.dsp.weighted_energy")
    rendered = dict(
        progress(in_parallel(write_item, jobs, workers), f"render to {form.layout.name}, item", len(jobs))
    )
    return {item: rendered[item] for item in test.items}


def _clear_other_export(package: Package, names: dict[str, dict[str, str]]) -> None:
    """Refuse a folder with audio of another build, which would be mixed with this one's; `force` removes it.

    Removed in any case are folders in which earlier versions rendered inside the package and were killed.
    """
    for left in package.audio.glob(".rendering-*"):
        shutil.rmtree(left)
    expected = {(item, name) for item, stimuli in names.items() for name in ("reference", *stimuli)}
    for path in sorted([*package.audio.glob("*/*.wav"), *package.headphones.glob("*/*.wav")]):
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
    for name in (
        "audio",
        session.HEADPHONES,
        "configs",
        "signals",
        README,
        "session.json",
        "ratings_template.csv",
    ):
        for path in (folder / name, *(folder / name).rglob("*")):
            if path.exists():
                os.utime(path, (EPOCH_S, EPOCH_S))


def _write_bundle(package: Package) -> None:
    """Pack the files of the package, and nothing else that lies in its folder, into one zip file.

    They are not compressed: how well a file compresses would reveal its condition.
    """
    files = [README, SESSION, RATINGS_TEMPLATE, *session.files(read_json(package.folder / SESSION))]
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
