"""``opus3_<kbps>`` and ``opus2_<kbps>_cbr``: Opus for Ambisonics; ``opus3_160`` is the paper's condition OPUS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from listening.conditions.alignment import OPUS_MAX_LAG, aligned
from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from listening.opus_codec.codec import OpusSettings, check_rate, coded_peak, round_trip, version
from listening.opus_codec.info import inspect
from render.hoa.scene import Scene

_KBPS = range(1, 10_000)
FAMILY_3 = IdForm("opus3_<kbps>", _KBPS, 160)
FAMILY_3_MUSIC = IdForm("opus3_<kbps>_music", _KBPS, 160)
FAMILY_2_CBR = IdForm("opus2_<kbps>_cbr", _KBPS, 160)


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that encodes and decodes a scene with the settings that the id names.

    Raises
    ------
    InputError
        If libopus is missing, or the rate is outside of what it accepts for 16 channels.
    """
    bitrate_bps = 1000 * (condition_id.number or 0)
    if condition_id.form == FAMILY_2_CBR.template:
        settings = OpusSettings(bitrate_bps, family=2, vbr=False)
    else:
        settings = OpusSettings(
            bitrate_bps, signal="music" if condition_id.form == FAMILY_3_MUSIC.template else "auto"
        )
    check_rate(settings, channels=16)
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: _rendition(scene, settings),
        {"settings": str(settings), "libopus": version()},
        ExpectedProperties(constant_kbps=None if settings.vbr else condition_id.number, is_codec=True),
    )


def _rendition(scene: Scene, settings: OpusSettings) -> Rendition:
    decoded, payload = round_trip(scene, settings)
    shifted, lag = aligned(scene, decoded, OPUS_MAX_LAG)
    info = inspect(payload)
    facts = {
        "lag_compensated_samples": lag,
        "packet_kbps": round(info.packet_kbps, 3),  # without Ogg's pages and headers
        "coded_peak": coded_peak(scene.samples, settings),
        "modes": info.modes,
        "stereo_share": info.stereo_share,
    }
    return Rendition(shifted, payload, ".opus", facts)


KIND = ConditionKind(create, (FAMILY_3, FAMILY_3_MUSIC, FAMILY_2_CBR), needs_libopus=True)
