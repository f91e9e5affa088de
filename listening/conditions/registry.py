"""What listeners compare: every condition turns the reference scene into a rendition of it.

A condition is named by an id, which others' scripts rely on:

    href                the reference itself, hidden
    la, ma              low-pass anchors at 3.5 kHz and 7 kHz (ITU-R BS.1534-3)
    mono_w              W alone: a spatial anchor
    order_<n>           the reference without the orders above n; order_1 is a spatial anchor
    opus3_<kbps>        Opus, channel mapping family 3, libopus's defaults at that nominal rate
    opus3_<kbps>_music  the same with the encoder told that it hears music
    opus2_<kbps>_cbr    Opus, family 2 (no mixing matrix), full band, constant rate
    pca_opus_<kbps>     principal components in mono Opus streams, constant rate with all side information
    cov_noise           noise with the reference's covariance: an oracle without waveform
    prop                the proposed codec: all its codebooks
    prop_<n>cb          the proposed codec: its first n codebooks

A plan may give parameters to an id (``[parameters.ID]``): ``model`` and ``codebooks`` make any id the
proposed codec with that model, ``command`` and ``payload`` an external codec. docs/conditions.md has the
definition of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from listening.conditions import anchors, external, pca_opus
from listening.conditions import rvqgan as proposed
from listening.conditions.condition import Condition, Declared, Rendition, aligned, measured_lag
from listening.conditions.covariance_noise import covariance_noise
from listening.opus_codec import codec as opus
from listening.opus_codec.info import inspect
from render.common.errors import InputError, did_you_mean
from render.common.files import sha256
from render.hoa.scene import Scene

__all__ = ["Condition", "Declared", "Rendition", "condition", "measured_lag"]

# The speech layer of Opus comes out about two samples (at 48 kHz) early, its music layer does not: shifted is
# by what fits the whole best, looked for this far, and the rolls leave room for it
OPUS_REACH = 8

Parameters = Mapping[str, Any]


def condition(name: str, model: Path | None = None, parameters: Parameters | None = None) -> Condition:
    """Look up a condition by its id.

    Parameters
    ----------
    name : str
        See the module's docstring.
    model : Path, optional
        Model file of the proposed codec where the plan names none; the shipped one by default.
    parameters : mapping, optional
        What the plan says about this id.

    Raises
    ------
    InputError
        For an unknown id; for a missing libopus, model or program, for more codebooks than the model has: at
        once and not after half of the work.
    """
    given = dict(parameters or {})
    if "command" in given:
        return _external(name, given)
    if "model" in given or "codebooks" in given:
        path = Path(given["model"]) if "model" in given else model
        return _proposed(name, path, given.get("codebooks") or _codebooks_of(name))
    for pattern, build in _PATTERNS.items():
        if match := re.fullmatch(pattern, name, re.ASCII):
            return build(name, match, model)
    raise InputError(
        f"condition {name!r} is not known; known are {', '.join(_KNOWN)}{did_you_mean(name, _EXAMPLES)}"
    )


def _reference(name: str, _match: re.Match, _model: Path | None) -> Condition:
    return Condition(name, lambda scene: Rendition(scene), {})


def _anchor(name: str, _match: re.Match, _model: Path | None) -> Condition:
    cutoff_hz = {"la": anchors.LOW_ANCHOR_HZ, "ma": anchors.MID_ANCHOR_HZ}[name]
    return Condition(
        name,
        lambda scene: Rendition(anchors.low_pass(scene, cutoff_hz)),
        {"cutoff_hz": cutoff_hz},
        Declared(low_pass_hz=cutoff_hz),
        of_mixture=True,
    )


def _truncated(name: str, match: re.Match, _model: Path | None) -> Condition:
    channels = (int(match["order"] or 0) + 1) ** 2

    def make(scene: Scene) -> Rendition:
        kept = scene.samples.copy()
        kept[channels:] = 0
        return Rendition(Scene(kept, scene.sample_rate_hz))

    return Condition(name, make, {"channels": channels}, Declared(channels=channels))


def _opus(name: str, match: re.Match, _model: Path | None) -> Condition:
    kbps = int(match["kbps"])
    if name.startswith("opus2"):
        settings = opus.OpusSettings(bitrate_bps=1000 * kbps, family=2, vbr=False)
    else:
        settings = opus.OpusSettings(bitrate_bps=1000 * kbps, signal="music" if match["music"] else "auto")
    opus.check_rate(settings, channels=16)

    def make(scene: Scene) -> Rendition:
        decoded, payload = opus.round_trip(scene, settings)
        made, lag = aligned(scene, decoded, OPUS_REACH)
        about = inspect(payload)
        facts = {
            "lag_compensated_samples": lag,
            "packet_kbps": round(about.packet_kbps, 3),  # without Ogg's pages and headers
            "coded_peak": opus.coded_peak(scene.samples, settings),
            "modes": about.modes,
            "stereo_share": about.stereo_share,
        }
        return Rendition(made, payload, ".opus", facts)

    declared = Declared(constant_kbps=None if settings.vbr else kbps, coder=True)
    return Condition(name, make, {"settings": str(settings), "libopus": opus.version()}, declared)


def _pca_opus(name: str, match: re.Match, _model: Path | None) -> Condition:

    kbps = int(match["kbps"])
    pca_opus.check_rate(kbps)

    def make(scene: Scene) -> Rendition:
        payload = pca_opus.encode(scene, kbps)
        made, lag = aligned(scene, pca_opus.decode(payload), OPUS_REACH)
        return Rendition(made, payload, ".pcao", {"lag_compensated_samples": lag})

    parameters = {"kbps": kbps, "components": pca_opus.components(kbps), "libopus": opus.version()}
    return Condition(name, make, parameters, Declared(constant_kbps=kbps, coder=True, may_be_silent=True))


def _noise(name: str, _match: re.Match, _model: Path | None) -> Condition:

    return Condition(name, lambda scene: Rendition(covariance_noise(scene)), {"seed": 1}, Declared(waveform=False))


def _codec(name: str, _match: re.Match, model: Path | None) -> Condition:
    return _proposed(name, model, _codebooks_of(name))


def _codebooks_of(name: str) -> int | None:
    match = re.fullmatch(r"prop_([1-9]\d?)cb", name, re.ASCII)
    return int(match[1]) if match else None


def _proposed(name: str, model: Path | None, codebooks: int | None) -> Condition:

    path = model or proposed.shipped_model()
    proposed.check_codebooks(path, codebooks)

    def make(scene: Scene) -> Rendition:
        decoded, payload = proposed.round_trip(path, scene, codebooks)
        return Rendition(decoded, payload, ".arvq")

    parameters = {"model_sha256": sha256(path), "codebooks": codebooks}
    return Condition(name, make, parameters, Declared(coder=True))


def _external(name: str, given: dict[str, Any]) -> Condition:

    command, payload = given["command"], given.get("payload")
    parameters = external.checked(name, command, payload)
    return Condition(
        name, lambda scene: external.run(name, command, payload, scene), parameters, Declared(coder=True)
    )


_PATTERNS: dict[str, Callable[[str, re.Match, Path | None], Condition]] = {
    r"href": _reference,
    r"la|ma": _anchor,
    r"mono_w|order_(?P<order>[0-6])": _truncated,
    r"opus3_(?P<kbps>[1-9]\d{0,3})(?P<music>_music)?": _opus,
    r"opus2_(?P<kbps>[1-9]\d{0,3})_cbr": _opus,
    r"pca_opus_(?P<kbps>[1-9]\d{0,2})": _pca_opus,
    r"cov_noise": _noise,
    r"prop(_[1-9]\d?cb)?": _codec,
}
_KNOWN = (
    "href", "la", "ma", "mono_w", "order_<n>", "opus3_<kbps>", "opus3_<kbps>_music", "opus2_<kbps>_cbr",
    "pca_opus_<kbps>", "cov_noise", "prop", "prop_<n>cb",
)  # fmt: skip


_EXAMPLES = (*_KNOWN, "opus3_160", "opus2_160_cbr", "pca_opus_64", "order_1")


def uses_opus(name: str, parameters: Parameters | None = None) -> bool:
    """Whether a condition needs libopus."""
    return not parameters and re.match(r"opus[23]_|pca_opus_", name) is not None
