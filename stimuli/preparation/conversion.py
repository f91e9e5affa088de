"""Convert a recording, block by block, to the format of the paper: third order, 44.1 kHz, 16 bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import read_record, record_path, refuse_to_replace, sha256, versions, write_json
from render.fileio.audio_file import info, writer
from render.fileio.scene_file import SceneInfo, scene_blocks, scene_files, scene_info, scene_sha256, split_info
from stimuli.eigenscape.corpus import recording_of
from stimuli.eigenscape.published_metadata import check_md5
from stimuli.eigenscape.sources import Source, as_file, first_bytes, member_record
from stimuli.preparation.convention_check import check_convention

CHANNELS = 16
RATE_HZ = 44_100
HEADROOM_DB = 3.0
GAIN_STEP_DB = 6.0
MIN_S = 0.05


@dataclass(frozen=True)
class PreparationSettings:
    """Settings that a prepared file depends on, apart from its source.

    Attributes
    ----------
    bits : int
        16 or 24.
    gain_db : float or None
        Gain; None is the multiple of 6 dB that leaves 3 to 9 dB of headroom.
    convention : str
        Convention of the source: ``sn3d``, ``n3d`` or ``fuma``, against the file if need be; or ``auto``: what the
        file says, SN3D where it says nothing, refused if its statistics clearly show another one.
    """

    bits: int = 16
    gain_db: float | None = None
    convention: str = "auto"

    @property
    def given_convention(self) -> str | None:
        """Convention that the user gives; None for ``auto``."""
        return None if self.convention == "auto" else self.convention

    def record(self) -> dict[str, Any]:
        """Contents of the record beside a prepared file, in which ``gain_db`` is the gain that was applied."""
        return {"bits": self.bits, "given_gain_db": self.gain_db, "given_convention": self.convention}


DEFAULT_SETTINGS = PreparationSettings()


def prepare_file(source: Path, target: Path, settings: PreparationSettings = DEFAULT_SETTINGS) -> dict[str, Any]:
    """Prepare one file and write its record; return the record.

    A target that an earlier call made from the same source with the same settings is kept, one that it made
    otherwise is replaced, and any other file is left alone.

    Raises
    ------
    InputError
        If the source is not an ambiX recording of third order or higher, is damaged or not finite, or clips with
        the given gain; if the target is the source itself, or a file that was not made here.
    """
    given = settings.given_convention
    about = recording_info(source, given)
    for path in about.paths:
        refuse_to_replace(path, target)
    digest, libraries = scene_sha256(about.paths), versions("hoa-rvqgan", "numpy", "soxr")
    existing = read_record(target)
    wanted = {"source_sha256": digest, **settings.record(), "versions": libraries}
    ours = target.is_file() and existing.get("sha256") == sha256(target)
    if ours and wanted.items() <= existing.items():
        return existing
    source_record = read_record(source)
    if settings.convention == "auto" and "convention" not in source_record:
        check_convention(about)
    gain_db = _gain_db(about, given) if settings.gain_db is None else settings.gain_db
    while True:
        dither_bits = settings.bits if _needs_dither(about, gain_db, settings.bits) else None
        with writer(target, CHANNELS, RATE_HZ, subtype=f"PCM_{settings.bits}", force=ours) as file:
            for block in _converted(about, gain_db, dither_bits, int(digest[:16], 16), given):
                file.write(block)
            if file.clipped and settings.gain_db is not None:
                raise InputError(
                    f"{source}: {file.clipped} values clip with a gain of {gain_db:g} dB; use a smaller --gain-db"
                )
        if not file.clipped:
            break
        # Between its samples, a recording that was clipped may peak above any fixed headroom
        gain_db, ours = gain_db - GAIN_STEP_DB, True
    material = source_record.get("what", source_record.get("material"))
    recording = recording_of(source)
    record = {
        "source": about.path.name if len(about.paths) == 1 else [path.name for path in about.paths],
        "scene_class": recording.scene_class if recording else None,
        "recording": recording.number if recording else None,
        "material": material if isinstance(material, str) else "recording",
        "source_sample_rate_hz": about.sample_rate_hz,
        "source_order": about.ambisonic_order,
        "source_convention": about.convention,
        "contradicts": about.contradiction or None,
        "order": 3,
        "convention": "ACN SN3D",
        "gain_db": gain_db,
        "dither": dither_bits is not None,
        **wanted,
        "sha256": sha256(target),
    }
    write_json(record_path(target), record, force=True)
    return record


def recording_info(path: Path, convention: str | None = None) -> SceneInfo:
    """Describe a recording, as `render.fileio.scene_file.scene_info`.

    Raises
    ------
    InputError
        As there, or if it is not of third order or higher or shorter than 0.05 s.
    """
    if (about := split_info(scene_files(path))).channels == 32:
        raise InputError(
            f"{about.path}: 32 channels are the raw capsules of an em32, not ambiX. In EigenScape's first release "
            "Park.6 and Park.8 are such files; the corrected Park.zip is record 2628463 on Zenodo"
        )
    about = scene_info(path, convention)
    if about.ambisonic_order < 3:
        raise InputError(
            f"{about.path}: {about.channels} channels are order {about.ambisonic_order}; the codec and the test "
            "take third-order Ambisonics (16 channels) or higher; of higher orders the first 16 channels are kept"
        )
    if about.duration_s < MIN_S:
        raise InputError(f"{about.path}: {about.length} samples; an excerpt needs at least {MIN_S} s")
    return about


def _gain_db(about: SceneInfo, convention: str | None) -> float:
    """Multiple of 6 dB that brings the peak of the first 16 channels to -9 to -3 dBFS; 0 for silence."""
    blocks = scene_blocks(about.path, convention=convention)
    peak = max(float(max(block[:CHANNELS].max(), -block[:CHANNELS].min())) for block in blocks)
    if peak == 0:
        return 0.0
    return GAIN_STEP_DB * math.floor((-HEADROOM_DB - 20 * math.log10(peak)) / GAIN_STEP_DB)


def _needs_dither(about: SceneInfo, gain_db: float, bits: int) -> bool:
    """Whether the samples of the target are rounded, that is, not equal to those of the source."""
    same = about.convention == "ACN/SN3D" and about.sample_rate_hz == RATE_HZ and gain_db == 0
    return not (same and about.subtype in ("PCM_16", f"PCM_{bits}"))


def _converted(
    about: SceneInfo, gain_db: float, dither_bits: int | None, seed: int, convention: str | None
) -> Iterator[ndarray]:
    """Yield truncated, resampled, scaled and dithered blocks (acn, time); `seed` makes the dither reproducible."""
    gain = np.float32(10 ** (gain_db / 20))
    random = np.random.Philox(key=seed)
    resampler = soxr.ResampleStream(about.sample_rate_hz, RATE_HZ, CHANNELS, dtype="float32", quality="VHQ")

    def finished(samples: ndarray) -> ndarray:
        """Scale and dither resampled samples (time, channel) and return them as written, (channel, time)."""
        samples = samples * gain
        if dither_bits:
            # The difference of two uniform variables of 1 LSB each, in steps of 2^-16 LSB, has the triangular
            # density that makes the error independent of the signal. 64 random bits give four variables
            uniform = random.random_raw(-(-samples.size // 2)).view(np.uint16)
            noise = np.subtract(uniform[: samples.size], uniform[-samples.size :], dtype=np.float32)
            noise *= np.float32(2.0 ** (1 - dither_bits - 16))
            samples += noise.reshape(samples.shape)
        return samples.T

    blocks = scene_blocks(about.path, convention=convention)
    if about.sample_rate_hz == RATE_HZ:
        for block in blocks:
            yield finished(block[:CHANNELS].T)
        return
    for block in blocks:
        yield finished(resampler.resample_chunk(np.ascontiguousarray(block[:CHANNELS].T)))
    yield finished(resampler.resample_chunk(np.zeros((0, CHANNELS), np.float32), last=True))


def _check_first_bytes(path: Path, source: Source, convention: str | None) -> None:
    """Refuse a member of a zip file whose header says already that it is no scene of third order."""
    try:
        info(path)
    except InputError:
        return  # it does not fit the zeros that follow, which says nothing about the whole file
    try:
        recording_info(path, convention)
    except InputError as error:
        raise InputError(str(error).replace(str(path), str(source))) from None


def prepare_source(source: Source, target: Path, settings: PreparationSettings, verify: bool) -> dict[str, Any]:
    """Prepare a source, which may lie in a zip file; see `prepare_file`.

    A member of a zip file is not unpacked if its prepared file exists and was made from the same bytes with the
    same settings.

    Parameters
    ----------
    source : Source
    target : Path
    settings : PreparationSettings
    verify : bool
        Compare the source with EigenScape's published MD5.

    Raises
    ------
    InputError
        As `prepare_file`, or if the MD5 is another one.
    """
    member = member_record(source) if source.member else {}
    if member and not verify:
        existing, wanted = read_record(target), member | settings.record()
        if wanted.items() <= existing.items() and target.is_file() and sha256(target) == existing.get("sha256"):
            return existing
    if source.member:
        with first_bytes(source, target.parent) as path:
            _check_first_bytes(path, source, settings.given_convention)
    with as_file(source, target.parent) as path:
        if verify:
            check_md5(source.recording, path)
        try:
            record = prepare_file(path, target, settings)
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(source))) from None
    if member:
        record |= member
        write_json(record_path(target), record, force=True)
    return record
