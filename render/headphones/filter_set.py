"""Filters from Ambisonic channels to the ears as a file, for other renderers, and such files of others.

The file is WAV with a channel for each ear, left first. Each channel has the filters of all inputs one after the
other, in ACN order for SN3D scenes. That is how SPARTA's MatrixConv reads it, with the number of inputs set to
that of the scene's channels. The record beside it (FILE.json) says at which tap time 0 is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from render.common.errors import InputError
from render.common.files import record_path, write_json
from render.dsp.convolution import Filters
from render.fileio.audio_file import info, read, writer

_MAX_TAPS = 1 << 16


def write_filter_set(
    path: Path, filters: Filters, sample_rate_hz: int, about: dict[str, Any], force: bool = False
) -> None:
    """Write ear filters as 32-bit floats, and their record with `about` in it."""
    ears, inputs, taps = filters.taps.shape
    with writer(path, ears, sample_rate_hz, "FLOAT", force) as file:
        file.write(filters.taps.reshape(ears, inputs * taps).astype(np.float32))
    record = {
        "channels": "left ear, right ear; in each the filters of all inputs, one after the other",
        "inputs": inputs,
        "taps": taps,
        "time_zero_tap": filters.origin,
        "order_of_inputs": "ACN",
        "normalisation": "SN3D",
        **about,
    }
    write_json(record_path(Path(path)), record, force=True)


def read_filter_set(path: Path, order: int, sample_rate_hz: int) -> Filters:
    """Read ear filters for ACN/SN3D scenes of an order at a sample rate.

    Without a record of the file, time 0 is the first tap: the output is then as late as the filters are.

    Raises
    ------
    InputError
        If the file is no set of filters for two ears and this order, or for another rate.
    """
    about, inputs = info(path), (order + 1) ** 2
    if about.channels != 2 or about.length % inputs or not 1 <= about.length // inputs <= _MAX_TAPS:
        raise InputError(
            f"{path}: {about.channels} channels of {about.length} samples; filters for order {order} have 2 "
            f"(left, right) of {inputs} times the same number of taps, up to {_MAX_TAPS}"
        )
    if about.sample_rate_hz != sample_rate_hz:
        raise InputError(
            f"{path}: filters for {about.sample_rate_hz} Hz, the scene has {sample_rate_hz} Hz; make them at that "
            "rate (render.filters --rate)"
        )
    samples, _ = read(path)
    taps = samples.reshape(2, inputs, -1).astype(np.float64)
    return Filters(taps, _time_zero(Path(path), inputs, taps.shape[2]))


def _time_zero(path: Path, inputs: int, taps: int) -> int:
    """Tap at time 0 by the record of the file; 0 if it has none."""
    record = record_path(path)
    if not record.is_file():
        return 0
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        tap = said["time_zero_tap"]
        fits = (said["inputs"], said["taps"]) == (inputs, taps)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{record}: damaged; write the filters again, or remove it") from None
    if not fits or isinstance(tap, bool) or not isinstance(tap, int) or not 0 <= tap < taps:
        raise InputError(f"{record}: is not the record of {path.name}; write the filters again, or remove it")
    return tap
