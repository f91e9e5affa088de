"""Condition ids taken apart: what ``prop_4cb`` or ``opus3_160_music`` says is read here and nowhere else.

Plans, manifests, tables of ratings and other people's scripts name conditions by these ids, so their forms are
fixed; docs/conditions.md defines what each of them does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConditionId:
    """A condition id and what it says.

    Attributes
    ----------
    text : str
        The id itself, such as ``opus3_160_music``.
    form : str
        Template that it follows, such as ``opus3_<kbps>_music``; empty for an id that a plan made up.
    number : int or None
        The number in it (order, rate in kbit/s or number of codebooks), None where the form has none.
    """

    text: str
    form: str = ""
    number: int | None = None


@dataclass(frozen=True)
class IdForm:
    """One form that ids may take: fixed text with at most one number in it.

    Attributes
    ----------
    template : str
        The id, with the number's name in angle brackets: ``opus3_<kbps>_music``.
    numbers : range
        Values that the number may have; written in decimal without leading zeros.
    example : int
        A typical value, for suggestions when an id is misspelt.
    """

    template: str
    numbers: range = range(0)
    example: int = 0

    def parse(self, text: str) -> ConditionId | None:
        """Take an id apart; None if it does not have this form."""
        prefix, bracket, rest = self.template.partition("<")
        if not bracket:
            return ConditionId(text, self.template) if text == self.template else None
        suffix = rest.partition(">")[2]
        digits = text[len(prefix) : len(text) - len(suffix)]
        if text != prefix + digits + suffix or not 0 < len(digits) <= len(str(self.numbers[-1])):
            return None
        if not (digits.isascii() and digits.isdecimal()) or digits != str(int(digits)):
            return None
        number = int(digits)
        return ConditionId(text, self.template, number) if number in self.numbers else None

    def with_number(self, number: int) -> str:
        """Id of this form with the given number."""
        prefix, _, rest = self.template.partition("<")
        return f"{prefix}{number}{rest.partition('>')[2]}" if rest else self.template
