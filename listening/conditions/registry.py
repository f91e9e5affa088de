"""The table of conditions: from a condition id to the condition that it names.

    href                the reference itself, hidden
    la, ma              low-pass anchors at 3.5 kHz and 7 kHz (ITU-R BS.1534-3)
    mono_w              W alone: a spatial anchor
    order_<n>           the reference without the orders above n; order_1 is a spatial anchor
    opus3_<kbps>        Opus, channel mapping family 3, libopus's defaults at that nominal rate
    opus3_<kbps>_music  the same with the encoder told that the signal is music
    opus2_<kbps>_cbr    Opus, family 2 (no mixing matrix), full band, constant rate
    pca_opus_<kbps>     principal components in mono Opus streams; constant rate, all side information included
    layer_opus_<kbps>   the proposed codec's spatial layer with Opus for its network; constant rate
    layer_only          the spatial layer with noise for its network
    dirac_opus_<kbps>   first-order DirAC with Opus; constant rate
    cov_noise           noise with the reference's covariance: an oracle that keeps nothing of the waveform
    prop                the proposed codec with all its codebooks
    prop_<n>cb          the proposed codec with its first n codebooks
    prop_low_delay      the proposed codec with packets for live use

A plan may give an id parameters (``[parameters.ID]``): ``model`` and ``codebooks`` make any id the proposed codec
with that model, ``command`` and ``payload`` make it an external codec. docs/conditions.md defines each condition.

To add a condition, write one module in this folder with a factory (see `condition.ConditionKind`) and add its
``KIND`` to the table `KINDS`. Nothing else has to know it: the quality gate reads `Condition.expected`, and the
cache of built stimuli follows the code that the module imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from listening.conditions import (
    anchors,
    covariance_noise,
    dirac_opus,
    external,
    layer_opus,
    opus,
    order_truncation,
    pca_opus,
    reference,
    rvqgan,
)
from listening.conditions.condition import Condition, ConditionKind
from listening.conditions.condition_id import ConditionId
from render.common.errors import InputError, did_you_mean

KINDS = (
    reference.KIND,
    anchors.KIND,
    order_truncation.KIND,
    opus.KIND,
    pca_opus.KIND,
    layer_opus.KIND,
    layer_opus.KIND_WITHOUT_OPUS,
    dirac_opus.KIND,
    covariance_noise.KIND,
    rvqgan.KIND,
)

Parameters = Mapping[str, Any]


def condition(name: str, model: Path | None = None, parameters: Parameters | None = None) -> Condition:
    """Create a condition from its id.

    Parameters
    ----------
    name : str
        The id, see the docstring of this module.
    model : Path, optional
        Model file of the proposed codec where `parameters` names none; by default the shipped one.
    parameters : mapping, optional
        Parameters that the plan gives this id.

    Raises
    ------
    InputError
        If the id is unknown; if libopus, a model or a program is missing, or a model has fewer codebooks than
        asked for. All of this is found here, before any audio is made.
    """
    kind, condition_id = kind_of(name, parameters)
    given = dict(parameters or {})
    if kind is rvqgan.KIND and model is not None:
        given.setdefault("model", str(model))
    return kind.create(condition_id, given)


def kind_of(name: str, parameters: Parameters | None = None) -> tuple[ConditionKind, ConditionId]:
    """Kind of a condition, and its id taken apart.

    Raises
    ------
    InputError
        If the id is unknown and no parameter says what it is.
    """
    given = parameters or {}
    if "command" in given:
        return external.KIND, ConditionId(name)
    if "model" in given or "codebooks" in given:
        return rvqgan.KIND, _parse(name, rvqgan.KIND) or ConditionId(name)
    for kind in KINDS:
        if condition_id := _parse(name, kind):
            return kind, condition_id
    forms = [form for kind in KINDS for form in kind.forms]
    templates = [form.template for form in forms]
    similar = did_you_mean(name, [*templates, *(form.with_number(form.example) for form in forms)])
    raise InputError(f"condition {name!r} is not known; known are {', '.join(templates)}{similar}")


def _parse(name: str, kind: ConditionKind) -> ConditionId | None:
    return next(filter(None, (form.parse(name) for form in kind.forms)), None)


def needs_libopus(name: str, parameters: Parameters | None = None) -> bool:
    """Whether a condition needs libopus."""
    return kind_of(name, parameters)[0].needs_libopus


def is_proposed_codec(name: str, parameters: Parameters | None = None) -> bool:
    """Whether a condition is the proposed codec, with whatever model and number of codebooks."""
    return kind_of(name, parameters)[0] is rvqgan.KIND
