"""Whether a recording is SN3D, as ambiX requires; its statistics show it."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float32
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo
from render.fileio.scene_file import scene_blocks
from stimuli.field_statistics.statistics import measure

MAX_ERROR = 0.15  # of a convention that fits
MIN_SN3D_RATIO = 2.0  # SN3D's error over that of the convention that fits
_EXAMINED_S = 12.0  # in all, at three places
_PLACES = 3
_CHANNELS = 16


def check_convention(about: AudioInfo) -> None:
    """Raise `InputError` if the statistics clearly show that a recording is N3D or FuMa.

    The covariances of orders 0 to 2 obey identities that hold in one convention only, see `convention_errors` in
    `stimuli.field_statistics.channel_convention`. The evidence is clear if another convention has an error of 0.15
    at most and SN3D at least twice that error. Recordings that are too short or silent pass.
    """
    try:
        errors = measure(_excerpts(about), about.sample_rate_hz).convention_errors
    except InputError:
        return
    best = min(errors, key=errors.__getitem__)
    if best == "ACN SN3D" or errors[best] > MAX_ERROR or errors["ACN SN3D"] < MIN_SN3D_RATIO * errors[best]:
        return
    evidence = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    remedy = f"--convention {'n3d' if best == 'ACN N3D' else 'fuma'} converts it"
    raise InputError(
        f"{about.path}: its statistics say {best}, not SN3D (error of each, 0 fits: {evidence}); "
        f"stimuli.prepare {remedy}, --convention sn3d takes it as it is"
    )


def _excerpts(about: AudioInfo) -> Iterator[Float32[ndarray, "acn time"]]:
    """Blocks from the beginning, the middle and the end of a recording."""
    length = min(about.length, round(_EXAMINED_S * about.sample_rate_hz)) // _PLACES
    for place in range(_PLACES):
        start = (about.length - length) * place // (_PLACES - 1)
        for block in scene_blocks(about.path, start, length):
            yield block[:_CHANNELS]
