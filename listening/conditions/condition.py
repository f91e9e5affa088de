"""The vocabulary of conditions: a condition, its kind, the rendition it makes and the properties it promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from listening.conditions.condition_id import ConditionId, IdForm
from render.hoa.scene import Scene


@dataclass(frozen=True)
class Rendition:
    """What a condition makes of the reference scene.

    Attributes
    ----------
    scene : Scene
        Has the reference's sample rate and length, and is aligned with it to the sample.
    payload : bytes or None
        A complete file, as a codec would transmit it; its size gives the measured bit rate.
    suffix : str
        File suffix of the payload.
    facts : dict
        Further measurements, as JSON values; they are written into the manifest.
    """

    scene: Scene
    payload: bytes | None = None
    suffix: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExpectedProperties:
    """Properties that the renditions of a condition must have; `stimulus_build.quality_gate` checks them.

    Attributes
    ----------
    active_channels : int or None
        Only the first `active_channels` channels may carry sound; None: every channel that does in the reference.
    constant_kbps : float or None
        Constant bit rate. The rate of a condition without it is measured and never counts as an error.
    low_pass_hz : float or None
        Cut-off of a low-pass that must meet the mask of the anchors (ITU-R BS.1534-3).
    follows_waveform : bool
        Whether the rendition follows the reference's waveform, so that a lag or swapped channels are detectable.
    is_codec : bool
        Whether it is a lossy codec. A codec may be late by a residual lag, where its coding modes differ in delay,
        and may leak loud channels, inverted too, into soft ones.
    may_silence_channels : bool
        Whether channels that carry sound in the reference may be silent.
    """

    active_channels: int | None = None
    constant_kbps: float | None = None
    low_pass_hz: float | None = None
    follows_waveform: bool = True
    is_codec: bool = False
    may_silence_channels: bool = False


@dataclass(frozen=True)
class Condition:
    """A condition, ready to be applied to scenes, and everything else that its renditions depend on.

    Attributes
    ----------
    id : str
    module : str
        Name of the module that implements it. Its renditions are made again when the source code of this module,
        or of one that it imports, changes; so the factory must live in the module that does the work.
    apply : callable
        Scene -> Rendition.
    parameters : dict
        What a rendition depends on besides the reference and the code, as JSON values.
    expected : ExpectedProperties
    applies_to_mixture : bool
        Whether foreground objects are mixed into the reference before the condition is applied, as BS.1534-3
        defines the low-pass anchors. All others get the scene alone, and the objects are added afterwards.
    """

    id: str
    module: str
    apply: Callable[[Scene], Rendition]
    parameters: dict[str, Any]
    expected: ExpectedProperties = ExpectedProperties()
    applies_to_mixture: bool = False


@dataclass(frozen=True)
class ConditionKind:
    """A kind of condition, as `listening.conditions.registry` lists it.

    Attributes
    ----------
    create : callable
        The factory: (id, parameters in the plan) -> Condition. It raises `InputError` at once for whatever is
        missing (a library, a model, a program), so that no build stops half-way.
    forms : tuple of IdForm
        Ids of this kind.
    needs_libopus : bool
    needs_codec : bool
        Whether it imports `codec`, and PyTorch with it, when it is applied.
    """

    create: Callable[[ConditionId, Mapping[str, Any]], Condition]
    forms: tuple[IdForm, ...] = ()
    needs_libopus: bool = False
    needs_codec: bool = False
