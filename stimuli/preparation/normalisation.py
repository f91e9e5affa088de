"""Is a recording SN3D, as ambiX says? Its statistics tell."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float32
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo, blocks
from stimuli.field_statistics.statistics import measure

ANOTHER_FITS = 0.15  # error up to which a convention fits
SN3D_FAILS = 2.0  # times as large an error of SN3D
_SECONDS = 12.0  # that are looked at, in three places
_PLACES = 3
_CHANNELS = 16


def check_convention(about: AudioInfo) -> None:
    """Raise `InputError` if the statistics clearly say that a recording is N3D or FuMa.

    See `stimuli.field_statistics.statistics.convention_errors`: the identities between the covariances of orders
    0 to 2
    hold in one convention only. Clear is: another one fits to within 15 %, SN3D less than half as well. A
    recording too short or silent says nothing.
    """
    try:
        errors = measure(_samples(about), about.sample_rate_hz).convention_errors
    except InputError:
        return
    best = min(errors, key=errors.__getitem__)
    if best == "ACN SN3D" or errors[best] > ANOTHER_FITS or errors["ACN SN3D"] < SN3D_FAILS * errors[best]:
        return
    evidence = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    remedy = "--convention n3d converts it" if best == "ACN N3D" else "convert it to ambiX first"
    raise InputError(
        f"{about.path}: its statistics say {best}, not SN3D (error of each, 0 fits: {evidence}); "
        f"stimuli.prepare {remedy}, --convention sn3d takes it as it is"
    )


def _samples(about: AudioInfo) -> Iterator[Float32[ndarray, "acn time"]]:
    frames = min(about.length, round(_SECONDS * about.sample_rate_hz)) // _PLACES
    for place in range(_PLACES):
        start = (about.length - frames) * place // (_PLACES - 1)
        for block in blocks(about.path, start, frames):
            yield block[:_CHANNELS]
