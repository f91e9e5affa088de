"""One recording into the form of the paper: third order, 44.1 kHz, 16 bit, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import read_record, record_path, sha256, versions, write_json
from render.fileio.audio_file import AudioInfo, blocks, info, writer
from render.hoa.spherical_harmonics import sn3d_to_n3d
from stimuli.eigenscape.corpus import recording_of
from stimuli.eigenscape.sources import Source, as_file, check_md5, stamp
from stimuli.preparation.normalisation import check_convention

CHANNELS = 16
RATE_HZ = 44_100
HEADROOM_DB = 3.0
GAIN_STEP_DB = 6.0
MIN_S = 0.05


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
    about = info(source)
    check_form(about)
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


def check_form(about: AudioInfo) -> None:
    """Raise `InputError` unless a file is ambiX of third order or higher and long enough."""
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
    if about.duration_s < MIN_S:
        raise InputError(f"{about.path}: {about.length} samples; an excerpt needs at least {MIN_S} s")


def _gain_db(about: AudioInfo) -> float:
    """Multiple of 6 dB that brings the peak of the first 16 channels to the headroom or up to 6 dB below."""
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
