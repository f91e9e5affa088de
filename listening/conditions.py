"""What listeners compare: every condition turns the reference scene into a rendition of it.

A condition is named by an id, which others' scripts rely on:

    href            the reference itself, hidden
    la, ma          low-pass anchors at 3.5 kHz and 7 kHz (ITU-R BS.1534-3)
    opus3_<kbps>    Opus, channel mapping family 3, libopus's defaults at that nominal rate
    opus3_<kbps>_music  the same with the encoder told that it hears music
    opus2_<kbps>_cbr    Opus, family 2 (no mixing matrix), constant rate
    prop            the proposed codec: all its codebooks
    prop_<n>cb      the proposed codec: its first n codebooks
    order_<n>       the reference without the orders above n
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from listening import anchors, opus
from render.artefact import sha256
from render.errors import InputError
from render.scene import Scene


@dataclass(frozen=True)
class Rendition:
    """A condition applied to a scene.

    Attributes
    ----------
    scene : Scene
        Of the reference's rate and length, aligned with it to the sample.
    payload : bytes or None
        What a codec would transmit, a complete file; its size is the measured bit rate.
    suffix : str
        File suffix of the payload.
    facts : dict
        What was measured on the way; JSON values.
    """

    scene: Scene
    payload: bytes | None = None
    suffix: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """How to make a rendition, and everything that its result depends on besides the reference."""

    id: str
    make: Callable[[Scene], Rendition]
    parameters: dict[str, Any]


def condition(name: str, model: Path | None = None) -> Condition:
    """Look up a condition by its id.

    Parameters
    ----------
    name : str
        See the module's docstring.
    model : Path, optional
        Model file of the proposed codec; the shipped one by default.

    Raises
    ------
    InputError
        For an unknown id; for a missing libopus or model, at once and not after half of the work.
    """
    for pattern, build in _PATTERNS.items():
        if match := re.fullmatch(pattern, name, re.ASCII):
            return build(name, match, model)
    raise InputError(f"condition {name!r} is not known; known are {', '.join(_KNOWN)}")


def _reference(name: str, _match: re.Match, _model: Path | None) -> Condition:
    return Condition(name, lambda scene: Rendition(scene), {})


def _anchor(name: str, _match: re.Match, _model: Path | None) -> Condition:
    cutoff_hz = {"la": anchors.LOW_ANCHOR_HZ, "ma": anchors.MID_ANCHOR_HZ}[name]
    return Condition(name, lambda scene: Rendition(anchors.low_pass(scene, cutoff_hz)), {"cutoff_hz": cutoff_hz})


def _opus(name: str, match: re.Match, _model: Path | None) -> Condition:
    rate_bps = 1000 * int(match["kbps"])
    if name.startswith("opus2"):
        settings = opus.OpusSettings(bitrate_bps=rate_bps, family=2, vbr=False)
    else:
        settings = opus.OpusSettings(bitrate_bps=rate_bps, signal="music" if match["music"] else "auto")

    def make(scene: Scene) -> Rendition:
        decoded, payload = opus.round_trip(scene, settings)
        # The speech layer of Opus's hybrid frames comes out up to two samples (at 48 kHz) early, its music
        # layer does not: shifted is by what fits the whole best, and the rolls leave room for it
        lag = measured_lag(scene, decoded, reach=8)
        aligned = Scene(np.roll(decoded.samples, -lag, axis=1), decoded.sample_rate_hz)
        about = opus.inspect(payload)
        facts = {
            "lag_compensated_samples": lag,
            "coded_peak": opus.coded_peak(scene.samples, settings),
            "modes": about.modes,
            "stereo_share": about.stereo_share,
        }
        return Rendition(aligned, payload, ".opus", facts)

    return Condition(name, make, {"settings": str(settings), "libopus": opus.version()})


def _proposed(name: str, match: re.Match, model: Path | None) -> Condition:
    codebooks = int(match["books"]) if match["books"] else None
    path = model or _shipped_model()

    def make(scene: Scene) -> Rendition:
        from codec.inference import decode, encode

        loaded, digest = _loaded(path)
        payload = encode(loaded, digest, scene, codebooks)
        return Rendition(decode(loaded, digest, payload), payload, ".arvq")

    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    return Condition(name, make, {"model_sha256": sha256(path), "codebooks": codebooks})


def _truncated(name: str, match: re.Match, _model: Path | None) -> Condition:
    channels = (int(match["order"]) + 1) ** 2

    def make(scene: Scene) -> Rendition:
        kept = scene.samples.copy()
        kept[channels:] = 0
        return Rendition(Scene(kept, scene.sample_rate_hz))

    return Condition(name, make, {"channels": channels})


_PATTERNS: dict[str, Callable[[str, re.Match, Path | None], Condition]] = {
    r"href": _reference,
    r"la|ma": _anchor,
    r"opus3_(?P<kbps>[1-9]\d{0,3})(?P<music>_music)?": _opus,
    r"opus2_(?P<kbps>[1-9]\d{0,3})_cbr": _opus,
    r"prop(_(?P<books>[1-9]\d?)cb)?": _proposed,
    r"order_(?P<order>[0-6])": _truncated,
}
_KNOWN = (
    "href", "la", "ma", "opus3_<kbps>", "opus3_<kbps>_music", "opus2_<kbps>_cbr", "prop", "prop_<n>cb",
    "order_<n>",
)  # fmt: skip


def _shipped_model() -> Path:
    from codec.weights import PRETRAINED

    return PRETRAINED


@cache
def _loaded(path: Path):
    from codec.weights import load

    return load(path)


def measured_lag(reference: Scene, test: Scene, reach: int) -> int:
    """Samples by which `test` comes after `reference`: maximum of the cross-correlation of all channels.

    Looked for within ±`reach` samples; 0 if the two do not resemble each other (correlation under 0.2),
    as a rendition without waveform match has no lag that could be measured.
    """
    inner = slice(reach, reference.frames - reach)
    lags = range(-reach, reach + 1)
    correlation = [
        float(np.vdot(reference.samples[:, inner], test.samples[:, reach + lag : reference.frames - reach + lag]))
        for lag in lags
    ]
    best = int(np.argmax(correlation))
    energy = np.linalg.norm(reference.samples[:, inner]) * np.linalg.norm(test.samples[:, inner])
    return lags[best] if energy > 0 and correlation[best] > 0.2 * energy else 0
