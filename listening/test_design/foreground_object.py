"""Foreground objects of a test: mono sounds that are mixed identically into every condition."""

from __future__ import annotations

from dataclasses import dataclass

from render.common.errors import InputError


@dataclass(frozen=True)
class ForegroundObject:
    """A mono sound that is mixed identically into every condition; only the scene around it is coded.

    Attributes
    ----------
    file : str
        Mono audio file of any sample rate.
    azimuth_deg, elevation_deg : float
        Direction that it comes from; the azimuth counts anticlockwise from the front.
    level_db : float
        Its rms relative to that of the excerpt's W.
    start_s : float
        Time in the excerpt at which it begins, 0 to 60.
    item : str
        Id of the item that it belongs to; empty: every item.

    Raises
    ------
    InputError
        If a value has the wrong type or is out of range.
    """

    file: str
    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    level_db: float = 0.0
    start_s: float = 0.0
    item: str = ""

    def __post_init__(self):
        for name in ("file", "item"):
            value = getattr(self, name)
            require(isinstance(value, str), f"object: {name} = {value!r} is not text")
        require(bool(self.file), "object: file is empty")
        bounds = {"azimuth_deg": 360, "elevation_deg": 90, "level_db": 60}
        for name, bound in bounds.items():
            value = getattr(self, name)
            require(is_number(value) and abs(value) <= bound, f"object: {name} = {value!r}; ±{bound} is possible")
        require(is_number(self.start_s) and 0 <= self.start_s < 60, f"object: start_s = {self.start_s!r}; 0 to 60")


def require(condition: object, problem: str) -> None:
    """Raise `InputError` about a plan unless a condition is met."""
    if not condition:
        raise InputError(f"plan: {problem}")


def is_number(value: object) -> bool:
    """Whether a value of a plan is a number: not NaN, and not a Boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
