"""Bring recordings into the form of the paper: third order, 44.1 kHz, 16 bit.

    python -m stimuli.prepare EIGENSCAPE -o data/eigenscape

Takes a folder of recordings with EigenScape's names, or single ambiX files (ACN/SN3D) of third order or
higher. Keeps the first 16 channels, resamples (soxr VHQ), multiplies by one recorded gain, a multiple of
6 dB, that leaves 3 dB of headroom, and adds triangular dither. Finished files are kept: the command can be
interrupted and repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError
from stimuli.corpus import find_recordings, recording_of

if TYPE_CHECKING:
    from numpy import ndarray

    from render.audio_file import AudioInfo

CHANNELS = 16
RATE_HZ = 44_100
HEADROOM_DB = 3.0
GAIN_STEP_DB = 6.0
SHORTEST_S = 0.05


def prepare_file(source: Path, target: Path, bits: int = 16, gain_db: float | None = None) -> dict[str, Any]:
    """Prepare one file block by block and write its record; return the record.

    Without `gain_db` the gain is the multiple of 6 dB that leaves the headroom.

    A target that an earlier call made from another source is replaced, any other file is not.

    Raises
    ------
    InputError
        If the file is no ambiX recording of third order or higher, is damaged or not finite, or clips with
        the given gain; if the target is the source itself, or a file that was not made here.
    """
    from render.artefact import read_record, record_path, sha256, versions, write_json
    from render.audio_file import info, writer

    about = info(source)
    _check(about)
    if target.resolve() == source.resolve():
        raise InputError(f"{source}: would be overwritten by its prepared form; choose another folder")
    digest, libraries = sha256(source), versions("hoa-rvqgan", "numpy", "soxr")
    made = read_record(target)
    wanted = {"source_sha256": digest, "bits": bits, "given_gain_db": gain_db, "versions": libraries}
    ours = target.is_file() and made.get("sha256") == sha256(target)
    if ours and wanted.items() <= made.items():
        return made
    applied_db = _gain_db(about) if gain_db is None else gain_db
    while True:
        dither_bits = bits if _needs_dither(about, applied_db, bits) else None
        with writer(target, CHANNELS, RATE_HZ, subtype=f"PCM_{bits}", force=ours) as file:
            for block in _converted(about, applied_db, dither_bits, int(digest[:16], 16)):
                file.write(block)
            if file.clipped and gain_db is not None:
                raise InputError(
                    f"{source}: {file.clipped} values clip with a gain of {gain_db:g} dB; use a smaller --gain-db"
                )
        if not file.clipped:
            break
        # The peak between the samples of a recording that was clipped may lie above any fixed headroom
        applied_db, ours = applied_db - GAIN_STEP_DB, True
    material = read_record(source).get("what")
    recording = recording_of(source)
    made = {
        "source": source.name,
        "scene_class": recording.scene_class if recording else None,
        "recording": recording.number if recording else None,
        "material": material if isinstance(material, str) else "recording",
        "source_sample_rate_hz": about.sample_rate_hz,
        "source_order": about.ambisonic_order,
        "order": 3,
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
    import numpy as np

    from render.audio_file import blocks

    peak = max(float(max(block[:CHANNELS].max(), -block[:CHANNELS].min())) for block in blocks(about.path))
    if peak == 0:
        return 0.0
    return GAIN_STEP_DB * math.floor((-HEADROOM_DB - 20 * math.log10(peak)) / GAIN_STEP_DB)


def _needs_dither(about: AudioInfo, gain_db: float, bits: int) -> bool:
    """Whether the target cannot hold the samples as they are."""
    return not (about.sample_rate_hz == RATE_HZ and gain_db == 0 and about.subtype in ("PCM_16", f"PCM_{bits}"))


def _converted(about: AudioInfo, gain_db: float, dither_bits: int | None, seed: int) -> Iterator[ndarray]:
    """Truncated, resampled, scaled and dithered blocks; seeded by the source, so that they are reproducible."""
    import numpy as np
    import soxr

    from render.audio_file import blocks

    gain = np.float32(10 ** (gain_db / 20))
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


def prepare(
    root: Path, folder: Path, numbers: set[int] | None, workers: int, bits: int = 16, gain_db: float | None = None
) -> None:
    """Prepare the recordings below `root` (or the single file `root`) into `folder`, in parallel."""
    from render.engine import in_parallel

    if root.is_file():
        jobs = [(root, folder / f"{root.stem}.wav")]
    else:
        found = [r for r in find_recordings(root) if numbers is None or r.number in numbers]
        if not found:
            raise InputError(f"{root}: none of its recordings has a number in {sorted(numbers or ())}")
        jobs = [(r.path, folder / f"{r.scene_class}.{r.number}.wav") for r in found]
    calls = {target: (source, target, bits, gain_db) for source, target in jobs}
    made = in_parallel(prepare_file, calls, workers, preload=("soxr",))
    for _ in progress(made, "prepare recording", len(jobs)):
        pass
    print(f"{folder}: {len(jobs)} recordings, 16 channels, 44.1 kHz, {bits} bit")


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "stimuli.prepare")
    arguments.add_argument("root", type=Path, metavar="ROOT", help="folder of recordings, or one file")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    arguments.add_argument("--recordings", metavar="1,8", help="only these numbers of each class")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="files at the same time")
    arguments.add_argument("--bits", type=int, choices=(16, 24), default=16, help="default 16, as in the paper")
    arguments.add_argument(
        "--gain-db", type=float, help="one gain for all files (default: per file, in 6 dB steps)"
    )
    given = arguments.parse_args()
    numbers = None
    if given.recordings:
        try:
            numbers = {int(number) for number in given.recordings.split(",")}
        except ValueError:
            raise InputError(f"--recordings {given.recordings}: need numbers like 1,8") from None
    prepare(given.root, given.output, numbers, max(1, given.workers or 1), given.bits, given.gain_db)


if __name__ == "__main__":
    run(main)
