"""The plan of a session: which method, what is asked, and how often; without a plan file a MUSHRA test."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from analysis.ratings.record import ATTRIBUTES
from listening.test_design.foreground_object import is_number, require
from render.common.errors import InputError, did_you_mean

PLANS = Path(__file__).with_name("plans")

METHODS = ("mushra", "bs1116", "abx", "ab")

TRANSDUCERS = ("loudspeakers", "headphones", "either")

FIELD_KINDS = ("text", "number", "choice", "yes_no")

_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_LEVEL_RANGE_DB = 4.0  # the adjustment that BS.1534-3 leaves to a listener, up and down
_MAX_FIELDS, _MAX_ROUNDS, _MAX_REPETITIONS = 50, 9, 100
_MAX_TEXT = 200


@dataclass(frozen=True)
class Field:
    """One question of the questionnaire.

    Attributes
    ----------
    id : str
        Small letters, digits and ``_``; its column in the results is ``questionnaire_<id>``.
    label : str
        The question.
    kind : str
        One of `FIELD_KINDS`.
    choices : tuple of str
        Of a choice.
    required : bool
        Whether the listener must answer to go on.
    minimum, maximum : float or None
        Of a number.
    """

    id: str
    label: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self):
        right = isinstance(self.id, str) and _ID.fullmatch(self.id)
        require(right, f"questionnaire: id = {self.id!r}; small letters, digits and _ are possible, 40 at most")
        require(_is_text(self.label) and self.label, f"questionnaire, {self.id}: label is a text, 200 at most")
        _among(self.kind, FIELD_KINDS, f"questionnaire, {self.id}: kind")
        require(type(self.required) is bool, f"questionnaire, {self.id}: required is true or false")
        right = isinstance(self.choices, tuple) and all(_is_text(one) and one for one in self.choices)
        require(right, f"questionnaire, {self.id}: choices are a list of texts")
        require(
            (self.kind == "choice") == (len(self.choices) > 1) and len(set(self.choices)) == len(self.choices),
            f"questionnaire, {self.id}: a choice, and nothing else, has two or more choices, all different",
        )
        limits = [limit for limit in (self.minimum, self.maximum) if limit is not None]
        require(all(map(is_number, limits)), f"questionnaire, {self.id}: minimum and maximum are numbers")
        require(not limits or self.kind == "number", f"questionnaire, {self.id}: only a number has limits")
        require(limits == sorted(limits), f"questionnaire, {self.id}: minimum is above maximum")


@dataclass(frozen=True)
class SessionPlan:
    """Settings of a session, read from TOML; see ``plans/mushra.toml``.

    Attributes
    ----------
    title : str
        What the listener reads above the test; empty: the package's for MUSHRA, else "Listening test".
    session : str
        Name of the session in the ratings; empty: the package's layout and the transducer, 4+7+0-loudspeakers.
    method : str
        One of `METHODS`.
    attributes : tuple of str
        Of `ATTRIBUTES`: every item has one trial for each.
    replicates : int
        How often every trial is rated, 1 to 9; each round has an order of its own.
    training : tuple of str or None
        Items that are heard and rated before the trials, ratings discarded; None: those of the package.
    require_100 : bool
        Whether a trial ends only when one stimulus has the highest grade.
    comments, consent : bool
        Whether comments are asked for, and whether the text of consent is shown and must be accepted.
    break_after : int
        Trials between two breaks; 0: no break.
    level_range_db : float
        By how much a listener may change the level, up and down (BS.1534-3: 4 dB at most).
    transducer : str
        One of `TRANSDUCERS`; "either" offers what the package has. The ratings of both are kept apart by it.
    screening : bool
        Whether listeners on headphones are screened by anti-phase tones.
    languages : tuple of str
        Languages that are offered; empty: all.
    texts : tuple of str
        Files with texts of one's own (`listening.sessions.texts`).
    questionnaire : tuple of Field
    pairs : str or tuple of (str, str)
        Of AB and ABX: "reference", each stimulus against the reference; "all", all pairs of an item's stimuli; or
        pairs of conditions, which need the key when the test is opened.
    repetitions : int
        Of AB and ABX: trials for each pair in a round.
    controls : bool
        Whether trials that present the reference against itself are kept where the key tells which they are.
    """

    title: str = ""
    session: str = ""
    method: str = "mushra"
    attributes: tuple[str, ...] = ("basic_audio_quality",)
    replicates: int = 1
    training: tuple[str, ...] | None = None
    require_100: bool = False
    comments: bool = True
    consent: bool = True
    break_after: int = 0
    level_range_db: float = 4.0
    transducer: str = "either"
    screening: bool = False
    languages: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    questionnaire: tuple[Field, ...] = ()
    pairs: str | tuple[tuple[str, str], ...] = "reference"
    repetitions: int = 1
    controls: bool = False

    def __post_init__(self):
        for name in ("title", "session"):
            value = getattr(self, name)
            require(_is_text(value), f"{name} = {value!r} is no text of one line, 200 characters at most")
        for name in ("require_100", "comments", "consent", "screening", "controls"):
            require(type(getattr(self, name)) is bool, f"{name} = {getattr(self, name)!r}; true or false")
        _among(self.method, METHODS, "method")
        _among(self.transducer, TRANSDUCERS, "transducer")
        _names(self.attributes, "attributes")
        for attribute in self.attributes:
            _among(attribute, ATTRIBUTES, "attribute")
        require(self.attributes, "attributes: at least one is rated")
        _count(self, "replicates", 1, _MAX_ROUNDS)
        _count(self, "break_after", 0, 1000)
        _count(self, "repetitions", 1, _MAX_REPETITIONS)
        right = is_number(self.level_range_db) and 0 <= self.level_range_db <= MAX_LEVEL_RANGE_DB
        require(right, f"level_range_db = {self.level_range_db!r}; possible are 0 to {MAX_LEVEL_RANGE_DB:g}")
        for name in ("languages", "texts"):
            _names(getattr(self, name), name)
        if self.training is not None:
            _names(self.training, "training")
        right = isinstance(self.questionnaire, tuple) and len(self.questionnaire) <= _MAX_FIELDS
        require(right, f"questionnaire is a list, [[questionnaire]], of {_MAX_FIELDS} fields at most")
        ids = [field.id for field in self.questionnaire]
        require(len(set(ids)) == len(ids), "questionnaire: two fields have one id")
        self._check_method()

    def _check_method(self) -> None:
        """Refuse settings that the method does not have: they would have no effect."""
        _check_pairs(self.pairs)
        of_pairs = self.method in ("ab", "abx")
        require(of_pairs or (self.pairs == "reference" and self.repetitions == 1),
                f"pairs and repetitions are of ab and abx, not of {self.method}")  # fmt: skip
        require(not of_pairs or not self.require_100, f"require_100 is of mushra and bs1116, not of {self.method}")
        require(self.method != "mushra" or not self.controls, "controls are of bs1116, ab and abx, not of mushra")
        require(self.transducer != "loudspeakers" or not self.screening, "screening is for headphones")


def load_plan(path: Path | None) -> SessionPlan:
    """Read a plan; None gives the settings of a MUSHRA test. Files of texts lie relative to the plan.

    Raises
    ------
    InputError
        With the file: not TOML, an unknown setting, or a value that is not possible.
    """
    if path is None:
        return SessionPlan()
    if not path.is_file():
        raise InputError(f"{path}: there is no such plan of a session")
    try:
        plan = plan_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error
    return replace(plan, texts=tuple(str(path.parent / text) for text in plan.texts))


def plan_from(values: dict[str, Any]) -> SessionPlan:
    """Plan from the values of a TOML or JSON file; InputError for an unknown setting."""
    settings = {name: _frozen(value) for name, value in values.items()}
    _known(settings, {field.name for field in fields(SessionPlan)}, "setting")
    if "questionnaire" in values:
        require(isinstance(values["questionnaire"], list), "questionnaire is a list, [[questionnaire]]")
        settings["questionnaire"] = tuple(map(_field, values["questionnaire"]))
    return SessionPlan(**settings)


def _field(values: Any) -> Field:
    require(isinstance(values, dict), "questionnaire is a list of tables, [[questionnaire]]")
    _known(values, {field.name for field in fields(Field)}, "setting of a field of the questionnaire")
    for name in ("id", "label"):
        require(name in values, f"questionnaire: a field without {name}")
    return Field(**{name: _frozen(value) for name, value in values.items()})


def _known(given: dict[str, Any], possible: set[str], what: str) -> None:
    for key in sorted(set(given) - possible):
        raise InputError(
            f"no such {what}: {key!r}{did_you_mean(key, possible)} (known are {', '.join(sorted(possible))})"
        )


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT and (not value or value.isprintable())


def _among(value: object, possible: tuple[str, ...], what: str) -> None:
    if value not in possible:
        near = did_you_mean(value, possible) if isinstance(value, str) else ""
        raise InputError(f"plan: {what} = {value!r}{near} (possible are {', '.join(possible)})")


def _names(values: object, what: str) -> None:
    right = isinstance(values, tuple) and all(isinstance(one, str) and one for one in values)
    require(right, f"{what} are a list of texts")
    assert isinstance(values, tuple)
    require(len(set(values)) == len(values), f"{what}: one is named twice")


def _count(plan: SessionPlan, name: str, least: int, most: int) -> None:
    value = getattr(plan, name)
    require(type(value) is int and least <= value <= most, f"{name} = {value!r}; possible are {least} to {most}")


def _check_pairs(pairs: object) -> None:
    if isinstance(pairs, str):
        require(pairs in ("reference", "all"), f'pairs = {pairs!r}; possible are "reference", "all" or a list')
        return
    right = isinstance(pairs, tuple) and pairs and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(one, str) and one for one in pair)
        for pair in pairs
    )  # fmt: skip
    require(right, 'pairs are a list of pairs of conditions, like [["href", "prop"], ["la", "prop"]]')
    assert isinstance(pairs, tuple)
    require(all(a != b for a, b in pairs), "pairs: a condition is compared with itself")
    require(len({frozenset(pair) for pair in pairs}) == len(pairs), "pairs: one pair stands twice")
