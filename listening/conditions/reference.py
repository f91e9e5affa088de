"""``href``: the hidden reference, which is the reference itself (ITU-R BS.1534-3, clause 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from listening.conditions.condition import Condition, ConditionKind, Rendition
from listening.conditions.condition_id import ConditionId, IdForm


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that returns the scene unchanged."""
    return Condition(condition_id.text, __name__, Rendition, {})


KIND = ConditionKind(create, (IdForm("href"),))
