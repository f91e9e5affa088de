"""What a listener has done so far: the fold of his events, and what cannot be.

`after` takes one event to the next state and never changes the state it is given, so that a batch that could not
be stored leaves no trace. The same function is used while events arrive and when a database is opened again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from listening.sessions.pages import Page, Trial
from listening.sessions.plan import Field, SessionPlan

MAX_TEXT = 10_000
"""Characters of a comment or an answer."""

MAX_DETAILS = 4000
"""Characters of the JSON of what a browser tells of its device or of a screening."""

TRIALS = ("training", "trial")

CHOICES = {"ab": ("a", "b", "same"), "abx": ("a", "b")}

TOP_GRADE = {"mushra": 100.0, "bs1116": 5.0}

_LAST_MS = 2**53
_LARGEST = 1e300  # of numbers without limits: JSON has larger ones, and a finite float64 is stored


class Impossible(ValueError):
    """An event that cannot be; the message says why."""


@dataclass(frozen=True)
class SlotUse:
    """How a listener used one slot of a page; times in milliseconds from the opening of the page.

    Attributes
    ----------
    plays : int
        Times that the stimulus was started or switched to.
    listen_ms : int
        How long it sounded in all.
    moves : int
        Events of its slider.
    first_ms, last_ms : int or None
        First and last move of its slider.
    """

    plays: int = 0
    listen_ms: int = 0
    moves: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True)
class PageState:
    """What was done on one page.

    `shown_ms` is when it was last shown, None before; `time_ms` and `underruns_before` count what was before that.
    `sounding` is the slot that sounds, and since when.
    """

    scores: Mapping[int, float] = field(default_factory=dict)
    played: frozenset[int] = frozenset()
    comment: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
    choice: str | None = None
    loop: tuple[int, int] | None = None
    confirmed: frozenset[str] = frozenset()
    consent: bool = False
    screened: bool | None = None
    slots: Mapping[int, SlotUse] = field(default_factory=dict)
    loops: int = 0
    underruns: tuple[int, float] = (0, 0.0)
    underruns_before: tuple[int, float] = (0, 0.0)
    shown_ms: int | None = None
    time_ms: int = 0
    sounding: tuple[int, int] | None = None

    @property
    def all_underruns(self) -> tuple[int, float]:
        """Number and duration in milliseconds."""
        events, duration = (sum(pair) for pair in zip(self.underruns, self.underruns_before, strict=True))
        return int(events), duration


@dataclass(frozen=True)
class Progress:
    """State of one listener.

    Attributes
    ----------
    page : int
        Number of the page to show.
    done : frozenset of int
    pages : dict
        Page number -> `PageState`, of pages on which something was done.
    device : dict or None
        The last device event.
    level_db : float
    language : str or None
    last_ms : int
        Time of the last event.
    shift_ms : int
        What is added to the times that a browser tells, so that none is before the one before it.
    """

    page: int = 0
    done: frozenset[int] = frozenset()
    pages: Mapping[int, PageState] = field(default_factory=dict)
    device: Mapping[str, Any] | None = None
    level_db: float = 0.0
    language: str | None = None
    last_ms: int = 0
    shift_ms: int = 0

    @property
    def transducer(self) -> str | None:
        """Transducer that the listener uses, once it is known."""
        return self.device["transducer"] if self.device else None

    def as_json(self) -> dict[str, Any]:
        """State as the page receives it."""
        return {
            "page": self.page,
            "done": sorted(self.done),
            "pages": {str(number): _page_json(state) for number, state in self.pages.items()},
            "device": self.device,
            "level_db": self.level_db,
        }


def _page_json(state: PageState) -> dict[str, Any]:
    return {
        "scores": {str(slot): score for slot, score in state.scores.items()},
        "moved": sorted(state.scores),
        "played": sorted(state.played),
        "comment": state.comment,
        "answers": dict(state.answers),
        "choice": state.choice,
        "loop": list(state.loop) if state.loop else None,
        "confirmed": sorted(state.confirmed),
        "consent": state.consent,
        "screened": state.screened,
    }


@dataclass(frozen=True)
class Session:
    """What the fold must know of the test.

    Attributes
    ----------
    plan : SessionPlan
    pages : tuple of Page
    frames : dict
        Item -> samples per channel.
    languages : frozenset of str
    transducers : tuple of str
        That the package holds and the plan allows.
    """

    plan: SessionPlan
    pages: tuple[Page, ...]
    frames: Mapping[str, int]
    languages: frozenset[str]
    transducers: tuple[str, ...]


@dataclass(frozen=True)
class _At:
    """Where and when an event happened."""

    number: int
    ms: int
    session: Session

    @property
    def page(self) -> Page:
        return self.session.pages[self.number]

    @property
    def trial(self) -> Trial:
        if self.page.trial is None:
            raise Impossible(f"page {self.number} ({self.page.kind}) has no stimuli")
        return self.page.trial

    @property
    def frames(self) -> int:
        return self.session.frames[self.trial.item]

    def slot(self, event: Mapping[str, Any], least: int) -> int:
        """Slot that an event names, from `least` on."""
        slot, most = event.get("slot"), len(self.trial.slots)
        if type(slot) is not int or not least <= slot <= most:
            raise Impossible(f"{event['type']}: slot {str(slot)[:40]} is not one of {least} to {most}")
        return slot


def after(state: Progress, event: Mapping[str, Any], session: Session) -> Progress:
    """State after an event.

    Raises
    ------
    Impossible
        If the event has unknown or impossible fields, or cannot follow upon the state.
    """
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in _EVENTS:
        raise Impossible(f"type {str(kind)[:40]!r} is not known")
    possible, change = _EVENTS[kind]
    for name in event:
        if name not in possible and name not in ("seq", "at_ms", "type", "page"):
            raise Impossible(f"{kind}: field {name[:40]!r} is not known")
    if not _is_unicode(event):
        raise Impossible(f"{kind}: holds characters that no text has")
    at_ms = _number(event, "at_ms", 0, _LAST_MS)
    number = event.get("page")
    if type(number) is not int or not 0 <= number < len(session.pages):
        raise Impossible(f"{kind}: page {str(number)[:40]} is not a page of this session")
    if number > state.page:
        raise Impossible(f"{kind}: page {number}, but page {state.page} is not done")
    if number in state.done and kind in _OF_OPEN_PAGES:
        raise Impossible(f"{kind}: page {number} is done")
    # The clock of a browser may be set back, or the listener goes on at a machine whose clock is behind
    shift_ms = max(state.shift_ms, state.last_ms - int(at_ms))
    at = _At(number, int(at_ms) + shift_ms, session)
    return replace(change(state, event, at), last_ms=at.ms, shift_ms=shift_ms)


def _before(state: Progress, at: _At) -> PageState:
    """State of the event's page, which counts as shown from its first event on."""
    before = state.pages.get(at.number, PageState())
    return replace(before, shown_ms=at.ms) if before.shown_ms is None else before


def _with(state: Progress, at: _At, before: PageState, **changes: Any) -> Progress:
    return replace(state, pages={**state.pages, at.number: replace(before, **changes)})


def _silenced(page: PageState, at_ms: int) -> PageState:
    """State after what sounds has ended."""
    if page.sounding is None:
        return page
    slot, since = page.sounding
    use = page.slots.get(slot, SlotUse())
    use = replace(use, listen_ms=use.listen_ms + max(0, at_ms - since))
    return replace(page, sounding=None, slots={**page.slots, slot: use})


def _page(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    """The page is shown; if it was left without an end, what sounded did so until the last event."""
    before = _silenced(_before(state, at), state.last_ms)
    if at.number in state.done:
        return _with(state, at, before)
    return _with(
        state,
        at,
        before,
        time_ms=before.time_ms + max(0, state.last_ms - (before.shown_ms or 0)),
        shown_ms=at.ms,
        underruns_before=before.all_underruns,
        underruns=(0, 0.0),
    )


def _play(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    slot = at.slot(event, 0 if at.trial.has_reference else 1)
    _position(event, at, "position")
    before = _silenced(_before(state, at), at.ms)
    if at.number in state.done:
        return _with(state, at, before)
    use = before.slots.get(slot, SlotUse())
    slots = {**before.slots, slot: replace(use, plays=use.plays + 1)}
    return _with(state, at, before, played=before.played | {slot}, slots=slots, sounding=(slot, at.ms))


def _stop(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    _position(event, at, "position")
    return _with(state, at, _silenced(_before(state, at), at.ms))


def _seek(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    _position(event, at, "position")
    return _with(state, at, _before(state, at))


def _loop(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    before = _before(state, at)
    if event.get("start") is None and event.get("end") is None:
        return _with(state, at, before, loop=None)
    start, end = (int(_number(event, name, 0, at.frames)) for name in ("start", "end"))
    if start >= end:
        raise Impossible(f"loop: from {start} to {end}")
    counted = before.loops + (at.number not in state.done)
    return _with(state, at, before, loop=(start, end), loops=counted)


def _graded(state: Progress, event: Mapping[str, Any], at: _At, method: str, least: float) -> Progress:
    """A move of a slider, of `rate` for MUSHRA and `grade` for BS.1116."""
    slot = at.slot(event, 1)
    if at.session.plan.method != method:
        raise Impossible(f"{event['type']}: the method is {at.session.plan.method}")
    score = _number(event, "score", least, TOP_GRADE[method])
    before = _before(state, at)
    use, now = before.slots.get(slot, SlotUse()), _shown_for(before, at.ms)
    first = now if use.first_ms is None else use.first_ms
    slots = {**before.slots, slot: replace(use, moves=use.moves + 1, first_ms=first, last_ms=now)}
    return _with(state, at, before, scores={**before.scores, slot: score}, slots=slots)


def _rate(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    return _graded(state, event, at, "mushra", 0.0)


def _grade(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    return _graded(state, event, at, "bs1116", 1.0)


def _choose(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    possible = CHOICES.get(at.session.plan.method, ())
    if at.page.kind not in TRIALS or event.get("value") not in possible:
        raise Impossible(f"choose: {str(event.get('value'))[:40]!r} cannot be chosen on page {at.number}")
    return _with(state, at, _before(state, at), choice=event["value"])


def _answer(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    fields = {field.id: field for field in at.session.plan.questionnaire}
    name = event.get("field")
    if at.page.kind != "questionnaire" or not isinstance(name, str) or name not in fields:
        raise Impossible(f"answer: field {str(name)[:40]!r} is not asked on page {at.number}")
    before = _before(state, at)
    answers = {**before.answers, name: _answered(fields[name], event.get("value"))}
    return _with(state, at, before, answers=answers)


def _answered(asked: Field, value: Any) -> Any:
    """Value of an answer; None withdraws it."""
    if value is None:
        return None
    if asked.kind == "number":
        least, most = (-_LARGEST if asked.minimum is None else asked.minimum,
                       _LARGEST if asked.maximum is None else asked.maximum)  # fmt: skip
        return _number({"type": f"answer: {asked.id}", "value": value}, "value", least, most)
    right = {
        "text": isinstance(value, str) and len(value) <= MAX_TEXT,
        "choice": value in asked.choices,
        "yes_no": value in ("yes", "no"),
    }
    if not right[asked.kind]:
        raise Impossible(f"answer: {asked.id}: {str(value)[:40]!r} is no possible answer")
    return value


def _comment(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    text = event.get("text")
    if at.page.kind not in (*TRIALS, "comments") or not at.session.plan.comments:
        raise Impossible(f"comment: page {at.number} asks for none")
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise Impossible(f"comment: is no text of {MAX_TEXT} characters at most")
    return _with(state, at, _before(state, at), comment=text)


def _consent(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    if at.page.kind != "consent" or type(event.get("given")) is not bool:
        raise Impossible("consent: given is true or false, on the page of the consent")
    return _with(state, at, _before(state, at), consent=event["given"])


def _language(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    language = event.get("language")
    if not isinstance(language, str) or language not in at.session.languages:
        raise Impossible(f"language: {str(language)[:40]!r} is not offered")
    return replace(state, language=language)


def _device(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    transducer = event.get("transducer")
    if transducer not in at.session.transducers:
        raise Impossible(f"device: transducer {str(transducer)[:40]!r} is not one of {at.session.transducers}")
    begun = any(at.session.pages[number].kind in TRIALS for number in state.pages)
    if begun and state.device and transducer != state.device["transducer"]:
        # BS.1534-3: one type of transducer within a session
        raise Impossible("device: the transducer cannot change any more, stimuli were heard already")
    device = {name: value for name, value in event.items() if name in _DEVICE}
    for name, (kind, most) in _DEVICE.items():
        value = device.get(name)
        right = value is None or (isinstance(value, kind) and (most is None or 0 <= value <= most))
        if not right:
            raise Impossible(f"device: {name} = {str(value)[:40]!r} cannot be")
    _small(device, "device")
    return replace(_with(state, at, _before(state, at)), device=device)


def _confirm(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    what = event.get("what")
    if what not in ("channels", "level", "headphones"):
        raise Impossible(f"confirm: {str(what)[:40]!r} is not known")
    before = _before(state, at)
    return _with(state, at, before, confirmed=before.confirmed | {what})


def _level(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    if at.page.kind == "trial":
        raise Impossible("level: stays as it is within an item")  # BS.1534-3
    most = at.session.plan.level_range_db
    return replace(state, level_db=_number(event, "db", -most, most))


def _screening(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    if at.page.kind != "screening" or type(event.get("passed")) is not bool:
        raise Impossible("screening: passed is true or false, on the page of the screening")
    _small(event.get("details"), "screening")
    return _with(state, at, _before(state, at), screened=event["passed"])


def _underruns(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    events = int(_number(event, "events", 0, 10**9))
    duration_ms = 1000 * _number(event, "duration_s", 0, 10**6)
    if at.number in state.done:
        return state
    return _with(state, at, _before(state, at), underruns=(events, duration_ms))


def _done(state: Progress, event: Mapping[str, Any], at: _At) -> Progress:
    """The page is finished, and the next one that the listener needs is shown."""
    before = _silenced(_before(state, at), at.ms)
    if fault := _unfinished(before, state, at):
        raise Impossible(f"done: page {at.number}: {fault}")
    done, last = {at.number}, len(at.session.pages) - 1
    page = min(at.number + 1, last)
    while at.session.pages[page].kind == "screening" and state.transducer == "loudspeakers":
        done.add(page)  # which is for headphones
        page += 1
    time_ms = _shown_for(before, at.ms)
    finished = _with(state, at, before, time_ms=time_ms, shown_ms=at.ms)
    return replace(finished, page=page, done=state.done | done)


def _unfinished(page: PageState, state: Progress, at: _At) -> str:
    """What is lacking before a page can be left; empty if nothing is."""
    plan, kind = at.session.plan, at.page.kind
    if kind == "consent" and not page.consent:
        return "the consent is not given"
    if kind == "questionnaire":
        lacking = [f.id for f in plan.questionnaire if f.required and page.answers.get(f.id) in (None, "")]
        return f"no answer to {', '.join(lacking)}" if lacking else ""
    if kind == "device" and state.device is None:
        return "the device is not known"
    if kind == "channels" and not page.confirmed & {"channels", "headphones"}:
        return "the channels are not confirmed"
    if kind == "screening" and page.screened is None:
        return "the screening was not made"
    return _unrated(page, at) if kind == "trial" else ""


def _unrated(page: PageState, at: _At) -> str:
    slots = set(range(1, len(at.trial.slots) + 1))
    if unheard := sorted(slots - page.played):
        return f"stimulus {', '.join(map(str, unheard))} was not played"
    method = at.session.plan.method
    if method in CHOICES:
        return "" if page.choice else "nothing was chosen"
    if unrated := sorted(slots - set(page.scores)):
        return f"stimulus {', '.join(map(str, unrated))} was not rated"
    if at.session.plan.require_100 and TOP_GRADE[method] not in page.scores.values():
        return f"no stimulus has the grade {TOP_GRADE[method]:g}"
    return ""


def _shown_for(page: PageState, at_ms: int) -> int:
    """Milliseconds for which a page has been shown."""
    return page.time_ms + at_ms - (at_ms if page.shown_ms is None else page.shown_ms)


def _number(event: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        kind = event.get("type")
        raise Impossible(f"{kind}: {name} {str(value)[:40]} is no number from {least:g} to {most:g}")
    return float(value)


def _is_unicode(value: Any) -> bool:
    """Whether all texts can be stored and written: no half of a surrogate pair, and no NUL."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\\u0000" not in text


def _position(event: Mapping[str, Any], at: _At, name: str) -> None:
    _number(event, name, 0, at.frames)


def _small(value: Any, what: str) -> None:
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise Impossible(f"{what}: {error}") from error
    if len(text) > MAX_DETAILS:
        raise Impossible(f"{what}: is longer than {MAX_DETAILS} characters")


_DEVICE: dict[str, tuple[Any, int | None]] = {
    "sample_rate_hz": (int | float, 10**7),
    "max_channels": (int, 10**6),
    "output_map": (str | list | dict, None),
    "transducer": (str, None),
    "browser": (str, None),
    "base_latency_s": (int | float, 10**6),
    "output_latency_s": (int | float, 10**6),
    "native": (bool, None),
}
"""What is told of a device: kind and largest value; each but the transducer may be missing."""

_EVENTS: dict[str, tuple[tuple[str, ...], Callable[[Progress, Mapping[str, Any], _At], Progress]]] = {
    "page": ((), _page),
    "play": (("slot", "position"), _play),
    "stop": (("position",), _stop),
    "loop": (("start", "end"), _loop),
    "seek": (("position",), _seek),
    "rate": (("slot", "score"), _rate),
    "grade": (("slot", "score"), _grade),
    "choose": (("value",), _choose),
    "answer": (("field", "value"), _answer),
    "comment": (("text",), _comment),
    "consent": (("given",), _consent),
    "language": (("language",), _language),
    "device": (tuple(_DEVICE), _device),
    "confirm": (("what",), _confirm),
    "level": (("db",), _level),
    "screening": (("passed", "details"), _screening),
    "underruns": (("events", "duration_s"), _underruns),
    "done": ((), _done),
}
"""Type of an event -> its own fields, and the change that it makes."""

_OF_OPEN_PAGES = ("rate", "grade", "choose", "answer", "comment", "consent", "screening", "done")
"""Events that a page which is done does not take any more."""
