"""Bring recordings into the form of the paper: third order, 44.1 kHz, 16 bit.

    python -m stimuli.prepare EIGENSCAPE -o data/eigenscape
    python -m stimuli.prepare EIGENSCAPE --split scene --fold Beach -o data/no-beach

Takes a folder of recordings with EigenScape's names, flat, in folders or in its zip files, or any other file
or folder of ambiX (ACN/SN3D) of third order or higher. Keeps the first 16 channels, resamples (soxr VHQ),
multiplies by one recorded gain, a multiple of 6 dB, that leaves 3 dB of headroom, and adds triangular
dither. A recording whose statistics say that it is N3D or FuMa is refused. Finished files are kept: the
command can be interrupted and repeated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError
from stimuli.corpus import CLASSES, HOLDOUT, Recording, recording_of, split

if TYPE_CHECKING:
    from numpy import ndarray

    from render.audio_file import AudioInfo
    from stimuli.material import Source

CHANNELS = 16
RATE_HZ = 44_100
HEADROOM_DB = 3.0
GAIN_STEP_DB = 6.0
SHORTEST_S = 0.05
TRAINING, HELD_OUT = "training", "held-out"  # folders of a split


def prepare_file(
    source: Path, target: Path, bits: int = 16, gain_db: float | None = None, convention: str = "auto"
) -> dict[str, Any]:
    """Prepare one file block by block and write its record; return the record.

    Without `gain_db` the gain is the multiple of 6 dB that leaves the headroom. `convention` is ``sn3d``,
    ``n3d`` (converted) or ``auto``: SN3D, unless the statistics clearly say something else.

    A target that an earlier call made from another source is replaced, any other file is not.

    Raises
    ------
    InputError
        If the file is no ambiX recording of third order or higher, is damaged or not finite, or clips with
        the given gain; if the target is the source itself, or a file that was not made here.
    """
    from render.artefact import read_record, record_path, sha256, versions, write_json
    from render.audio_file import info, writer
    from stimuli.convention import check_convention

    about = info(source)
    _check(about)
    if target.resolve() == source.resolve():
        raise InputError(f"{source}: would be overwritten by its prepared form; choose another folder")
    digest, libraries = sha256(source), versions("hoa-rvqgan", "numpy", "soxr")
    made = read_record(target)
    wanted = {
        "source_sha256": digest, "bits": bits, "given_gain_db": gain_db, "given_convention": convention,
        "versions": libraries,
    }  # fmt: skip
    ours = target.is_file() and made.get("sha256") == sha256(target)
    if ours and wanted.items() <= made.items():
        return made
    before = read_record(source)
    if convention == "auto" and "convention" not in before:
        check_convention(about)
    n3d = convention == "n3d"
    applied_db = _gain_db(about) if gain_db is None else gain_db
    while True:
        dither_bits = bits if n3d or _needs_dither(about, applied_db, bits) else None
        with writer(target, CHANNELS, RATE_HZ, subtype=f"PCM_{bits}", force=ours) as file:
            for block in _converted(about, applied_db, dither_bits, int(digest[:16], 16), n3d):
                file.write(block)
            if file.clipped and gain_db is not None:
                raise InputError(
                    f"{source}: {file.clipped} values clip with a gain of {gain_db:g} dB; use a smaller --gain-db"
                )
        if not file.clipped:
            break
        # The peak between the samples of a recording that was clipped may lie above any fixed headroom
        applied_db, ours = applied_db - GAIN_STEP_DB, True
    material = before.get("what", before.get("material"))
    recording = recording_of(source)
    made = {
        "source": source.name,
        "scene_class": recording.scene_class if recording else None,
        "recording": recording.number if recording else None,
        "material": material if isinstance(material, str) else "recording",
        "source_sample_rate_hz": about.sample_rate_hz,
        "source_order": about.ambisonic_order,
        "order": 3,
        "convention": "ACN SN3D",
        "gain_db": applied_db,
        "dither": dither_bits is not None,
        **wanted,
        "sha256": sha256(target),
    }
    write_json(record_path(target), made, force=True)
    return made


def _check(about: AudioInfo) -> None:
    if about.channels == 32:
        raise InputError(
            f"{about.path}: 32 channels are the raw capsules of an em32, no ambiX. In EigenScape's first release "
            "Park.6 and Park.8 are such files; the corrected Park.zip is record 2628463 on Zenodo"
        )
    if about.ambisonic_order < 3:
        raise InputError(
            f"{about.path}: {about.channels} channels are order {about.ambisonic_order}; the codec and the test "
            "take third-order Ambisonics (16 channels) or higher, of which the first 16 channels are kept"
        )
    if about.duration_s < SHORTEST_S:
        raise InputError(f"{about.path}: {about.frames} samples; an excerpt needs at least {SHORTEST_S} s")


def _gain_db(about: AudioInfo) -> float:
    """Multiple of 6 dB that brings the peak of the first 16 channels to the headroom or up to 6 dB below."""
    from render.audio_file import blocks

    peak = max(float(max(block[:CHANNELS].max(), -block[:CHANNELS].min())) for block in blocks(about.path))
    if peak == 0:
        return 0.0
    return GAIN_STEP_DB * math.floor((-HEADROOM_DB - 20 * math.log10(peak)) / GAIN_STEP_DB)


def _needs_dither(about: AudioInfo, gain_db: float, bits: int) -> bool:
    """Whether the target cannot hold the samples as they are."""
    return not (about.sample_rate_hz == RATE_HZ and gain_db == 0 and about.subtype in ("PCM_16", f"PCM_{bits}"))


def _converted(
    about: AudioInfo, gain_db: float, dither_bits: int | None, seed: int, n3d: bool
) -> Iterator[ndarray]:
    """Truncated, resampled, scaled and dithered blocks; seeded by the source, so that they are reproducible."""
    import numpy as np
    import soxr

    from render.audio_file import blocks
    from render.sphere import sn3d_to_n3d

    gain = np.float32(10 ** (gain_db / 20))
    if n3d:
        gain = (gain / sn3d_to_n3d(3)).astype(np.float32)
    random = np.random.Philox(key=seed)
    resampler = soxr.ResampleStream(about.sample_rate_hz, RATE_HZ, CHANNELS, dtype="float32", quality="VHQ")

    def finished(samples: ndarray) -> ndarray:
        """(time, channel) as resampled to (channel, time) as written."""
        samples = samples * gain
        if dither_bits:
            # Two uniform variables of 1 LSB each, in steps of 2^-16 LSB: the triangular density that decouples
            # error and signal. Four of them from each 64 random bits
            uniform = random.random_raw(-(-samples.size // 2)).view(np.uint16)
            noise = np.subtract(uniform[: samples.size], uniform[-samples.size :], dtype=np.float32)
            noise *= np.float32(2.0 ** (1 - dither_bits - 16))
            samples += noise.reshape(samples.shape)
        return samples.T

    if about.sample_rate_hz == RATE_HZ:
        for block in blocks(about.path):
            yield finished(block[:CHANNELS].T)
        return
    for block in blocks(about.path):
        yield finished(resampler.resample_chunk(np.ascontiguousarray(block[:CHANNELS].T)))
    yield finished(resampler.resample_chunk(np.zeros((0, CHANNELS), np.float32), last=True))


def prepare_source(
    source: Source, target: Path, bits: int, gain_db: float | None, convention: str, verify: bool
) -> dict[str, Any]:
    """As `prepare_file`, for a source that may lie in a zip file; with `verify` EigenScape's MD5 is checked.

    A member of a zip file whose prepared form is there, and made from the same bytes, is not unpacked again.
    """
    from render.artefact import read_record, record_path, sha256, write_json
    from stimuli.material import as_file, check_md5, stamp

    packed = stamp(source) if source.member else {}
    if packed and not verify:
        made = read_record(target)
        same = {**packed, "bits": bits, "given_gain_db": gain_db, "given_convention": convention}
        if same.items() <= made.items() and target.is_file() and sha256(target) == made.get("sha256"):
            return made
    with as_file(source, target.parent) as path:
        if verify:
            check_md5(source.recording, path)
        try:
            made = prepare_file(path, target, bits, gain_db, convention)
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(source))) from None
    if packed:
        made |= packed
        write_json(record_path(target), made, force=True)
    return made


def part_of(recording: Recording, holdout: int | str) -> str:
    """Folder of a recording in a split corpus."""
    return TRAINING if split([recording], holdout)[0] else HELD_OUT


def prepare(
    root: Path,
    folder: Path,
    numbers: set[int] | None = None,
    workers: int = 1,
    bits: int = 16,
    gain_db: float | None = None,
    convention: str = "auto",
    verify: bool = False,
    holdout: int | str | None = None,
) -> None:
    """Prepare what is found below `root` into `folder`, in parallel; split into two folders with `holdout`."""
    from render.engine import in_parallel
    from stimuli.material import find

    found = find(root)
    sources = [s for s in found if numbers is None or (s.recording and s.recording.number in numbers)]
    if not sources:
        raise InputError(f"{root}: none of its recordings has a number in {sorted(numbers or ())}")
    if root.is_dir() and not any(source.recording for source in sources):
        sources = _of_third_order(root, sources)
    if holdout is not None:
        _warn_of_shared_locations(root, sources, holdout)
    jobs = {}
    for source in sources:
        place = folder if holdout is None or not source.recording else folder / part_of(source.recording, holdout)
        jobs[place / source.name] = (source, place / source.name, bits, gain_db, convention, verify)
    made = in_parallel(prepare_source, jobs, workers, preload=("soxr",))
    for _ in progress(made, "prepare recording", len(jobs)):
        pass
    print(f"{folder}: {len(jobs)} recordings, 16 channels, 44.1 kHz, {bits} bit")


def _of_third_order(root: Path, sources: list[Source]) -> list[Source]:
    """Files of a folder that can be prepared; what is passed over is told."""
    from render.audio_file import info

    kept = []
    for source in sources:
        try:
            if not source.member:
                _check(info(source.path))
            kept.append(source)
        except InputError as error:
            print(f"passed over: {error}", file=sys.stderr)
    if not kept:
        raise InputError(f"{root}: none of its {len(sources)} audio files is ambiX of third order or higher")
    return kept


def _warn_of_shared_locations(root: Path, sources: list[Source], holdout: int | str) -> None:
    """Tell what is held out, and where the same place is on both sides of the split."""
    from stimuli.material import METADATA, locations, shared_locations

    recordings = [source.recording for source in sources if source.recording]
    if len(recordings) < len(sources):
        raise InputError(f"{root}: only recordings with EigenScape's names can be split")
    training, held_out = split(recordings, holdout)
    print(f"{len(training)} recordings to {TRAINING}, {len(held_out)} to {HELD_OUT} (fold {holdout})")
    places = locations(root)
    if not places:
        print(f"note: no {METADATA} below {root}; equal locations cannot be told", file=sys.stderr)
    for sentence in shared_locations(training, held_out, places):
        print(f"warning: {sentence}", file=sys.stderr)


def fold_of(kind: str | None, fold: str | None) -> int | str | None:
    """Held-out recording number or class from --split and --fold; None without a split."""
    if kind is None:
        if fold is not None:
            raise InputError(f"--fold {fold}: needs --split recording or --split scene")
        return None
    if kind == "scene":
        if fold not in CLASSES:
            raise InputError(f"--fold {fold}: with --split scene a class is held out: {', '.join(CLASSES)}")
        return fold
    if fold is not None and (not fold.isdecimal() or not 1 <= int(fold) <= 8):
        raise InputError(f"--fold {fold}: with --split recording possible are 1 to 8")
    return int(fold) if fold else HOLDOUT


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "stimuli.prepare")
    arguments.add_argument("root", type=Path, metavar="ROOT", help="folder of recordings, one file or zip file")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    arguments.add_argument("--recordings", metavar="1,8", help="only these numbers of each class")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="files at the same time")
    arguments.add_argument("--bits", type=int, choices=(16, 24), default=16, help="default 16, as in the paper")
    arguments.add_argument(
        "--gain-db", type=float, help="one gain for all files (default: per file, in 6 dB steps)"
    )
    arguments.add_argument(
        "--convention",
        choices=("auto", "sn3d", "n3d"),
        default="auto",
        help="normalisation of the files; n3d is converted (default auto: SN3D, refused if statistics differ)",
    )
    arguments.add_argument("--verify", action="store_true", help="compare with EigenScape's MD5 sums")
    arguments.add_argument(
        "--split",
        choices=("recording", "scene"),
        help=f"write to {TRAINING}/ and {HELD_OUT}/: one recording of each class held out, or a whole class",
    )
    arguments.add_argument("--fold", metavar="F", help="which one: 1 to 8 (default 8), or a class")
    given = arguments.parse_args()
    numbers = None
    if given.recordings:
        try:
            numbers = {int(number) for number in given.recordings.split(",")}
        except ValueError:
            raise InputError(f"--recordings {given.recordings}: need numbers like 1,8") from None
    holdout = fold_of(given.split, given.fold)
    workers = max(1, given.workers or 1)
    prepare(
        given.root,
        given.output,
        numbers,
        workers,
        given.bits,
        given.gain_db,
        given.convention,
        given.verify,
        holdout,
    )


if __name__ == "__main__":
    run(main)
