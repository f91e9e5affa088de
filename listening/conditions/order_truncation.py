"""``order_<n>`` and ``mono_w``: spatial anchors, the reference without the channels above an Ambisonic order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from render.hoa.scene import Scene


def truncate_order(scene: Scene, order: int) -> Scene:
    """Silence every channel above an order; the number of channels stays."""
    samples = scene.samples.copy()
    samples[(order + 1) ** 2 :] = 0
    return Scene(samples, scene.sample_rate_hz)


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that keeps the orders up to the number in the id; ``mono_w`` keeps order 0."""
    order = condition_id.number or 0
    channels = (order + 1) ** 2
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: Rendition(truncate_order(scene, order)),
        {"channels": channels},
        ExpectedProperties(active_channels=channels),
    )


KIND = ConditionKind(create, (IdForm("mono_w"), IdForm("order_<n>", range(7), 1)))
