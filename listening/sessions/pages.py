"""The pages that one listener sees, in the package's balanced order."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from listening.sessions.package import TestPackage
from listening.sessions.plan import SessionPlan
from render.common.errors import InputError, did_you_mean

REFERENCE = "reference"
"""Name of the open reference's file among the names of an item; blind names are eight hexadecimal digits."""

HIDDEN_REFERENCE = "href"

Key = Mapping[str, Mapping[str, str]]
"""Item -> blind name -> condition, as in `analysis.ratings.record`."""


@dataclass(frozen=True)
class Trial:
    """What is presented on one page of training or of the test.

    Attributes
    ----------
    item, attribute : str
    replicate : int
        Round, from 1; for AB and ABX the repetitions count on.
    slots : tuple of str
        Names of the files in slot 1, 2, ...: the stimuli of MUSHRA; B and C of BS.1116; A, B and X of ABX;
        A and B of AB.
    has_reference : bool
        Whether the open reference is presented too, in slot 0.
    number : int
        Number of the trial in the listener's session, from 1; in the training that of the training page.
    """

    item: str
    attribute: str
    replicate: int
    slots: tuple[str, ...]
    has_reference: bool
    number: int = 0


@dataclass(frozen=True)
class Page:
    """One page: its kind, and what is presented if it is a trial or a training."""

    kind: str
    trial: Trial | None = None


def pages(
    plan: SessionPlan, package: TestPackage, number: int, secret: bytes, key: Key | None = None
) -> tuple[Page, ...]:
    """All pages of a listener, in order.

    Parameters
    ----------
    plan : SessionPlan
    package : TestPackage
    number : int
        Of the listener, from 1. Listener L01 has the package's first order; further listeners than it has orders
        begin again with the first, which continues its Williams squares.
    secret : bytes
        The listener's: it decides what the orders leave open, which of two is A or B and what X is.
    key : dict, optional
        Where it is known, the reference is not compared with itself unless the plan has controls.

    Raises
    ------
    InputError
        If the plan names an item or a condition that there is not.
    """
    trials = _trials(plan, package, number, secret, key)
    training = _training(plan, package, number, secret, key)
    kinds = ["welcome"]
    kinds += ["consent"] if plan.consent else []
    kinds += ["questionnaire"] if plan.questionnaire else []
    kinds += ["device", "channels", "level"]
    kinds += ["screening"] if plan.screening else []
    result = [Page(kind) for kind in (*kinds, "instruction")]
    result += [Page("training", trial) for trial in training]
    for done, trial in enumerate(trials):
        if plan.break_after and done and done % plan.break_after == 0:
            result.append(Page("break"))
        result.append(Page("trial", trial))
    result += [Page("comments")] if plan.comments else []
    return (*result, Page("end"))


@dataclass(frozen=True)
class _Round:
    """Items in order, with their stimuli in order, that are presented for one attribute.

    `purpose` names the round among those of a listener: what is drawn at random in it depends on it.
    """

    items: Sequence[str]
    slots: Mapping[str, tuple[str, ...]]
    attribute: str
    replicate: int
    purpose: str


def _trials(plan: SessionPlan, package: TestPackage, number: int, secret: bytes, key: Key | None) -> list[Trial]:
    """Rounds of all items: every attribute in the first round, then every attribute in the second, and so on."""
    found = []
    rounds = [(r, a) for r in range(plan.replicates) for a in plan.attributes]
    for count, (replicate, attribute) in enumerate(rounds):
        items, slots = _order(package, number, count)
        found += _presented(plan, _Round(items, slots, attribute, replicate + 1, f"round {count}"), secret, key)
    if not found:
        raise InputError("plan: nothing is left to compare; with --key, set controls = true or other pairs")
    return _numbered(found)


def _training(plan: SessionPlan, package: TestPackage, number: int, secret: bytes, key: Key | None) -> list[Trial]:
    """One page for each item of the training, in another order of the stimuli than the trials have."""
    items = package.training if plan.training is None else plan.training
    for item in items:
        if item not in package.items:
            raise InputError(f"plan: training: no such item: {item!r}{did_you_mean(item, package.items)}")
    _, slots = _order(package, number, -1)
    first: dict[str, Trial] = {}
    for trial in _presented(plan, _Round(items, slots, plan.attributes[0], 1, "training"), secret, key):
        first.setdefault(trial.item, trial)
    return _numbered(first.values())


def _numbered(trials: Iterable[Trial]) -> list[Trial]:
    return [replace(trial, number=number) for number, trial in enumerate(trials, start=1)]


def _order(package: TestPackage, number: int, count: int) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Order of the items and of their stimuli in a listener's round `count`; round -1 is the training.

    Each round takes the next row of the squares, so that over the listeners every round is balanced. A package
    with one row only gives it forwards and backwards in turn. Where a listener rates some of the items only, these
    stay the same in every round, and their order is turned round.
    """
    rows = package.orders
    row = rows[(number - 1 + count) % len(rows)]
    items, slots = list(row["items"]), {item: tuple(names) for item, names in row["stimuli"].items()}
    if len(rows) == 1 and count % 2:
        return items[::-1], {item: names[::-1] for item, names in slots.items()}
    if len(items) < len(package.items):
        items = list(rows[(number - 1) % len(rows)]["items"])
        return items[::-1] if count % 2 else items, slots
    return items, slots


def _presented(plan: SessionPlan, one: _Round, secret: bytes, key: Key | None) -> Iterator[Trial]:
    """Trials of a round by the plan's method."""
    if plan.method == "bs1116":
        yield from _triples(plan, one, secret, key)
    elif plan.method in ("ab", "abx"):
        yield from _pairs(plan, one, secret, key)
    else:
        for item in one.items:
            yield Trial(item, one.attribute, one.replicate, one.slots[item], True)


def _triples(plan: SessionPlan, one: _Round, secret: bytes, key: Key | None) -> Iterator[Trial]:
    """Trials of BS.1116-3 (clause 4): open reference A; B and C are the object and the hidden reference."""
    objects = [(item, name) for item in one.items for name in _objects(plan, one, item, key)]
    swapped = _balanced(len(objects), secret, f"{one.purpose}/sides")
    for (item, name), swap in zip(objects, swapped, strict=True):
        yield Trial(item, one.attribute, one.replicate, _pair((REFERENCE, name), swap), True)


def _pairs(plan: SessionPlan, one: _Round, secret: bytes, key: Key | None) -> Iterator[Trial]:
    """Trials of AB and of ABX; the pairs of an item follow each other, its repetitions come in later passes.

    Over a pass A and B are exchanged in every second trial, and X is A as often as B, both in random order.
    """
    compared = [(item, pair) for item in one.items for pair in _pairs_of(plan, one, item, key)]
    for repetition in range(plan.repetitions):
        swapped = _balanced(len(compared), secret, f"{one.purpose}/{repetition}/sides")
        xs = _balanced(len(compared), secret, f"{one.purpose}/{repetition}/x")
        number = (one.replicate - 1) * plan.repetitions + repetition + 1
        for (item, pair), swap, x in zip(compared, swapped, xs, strict=True):
            names = _pair(pair, swap)
            if plan.method == "abx":
                yield Trial(item, one.attribute, number, (*names, names[x]), False)
            else:
                yield Trial(item, one.attribute, number, names, REFERENCE not in names)


def _objects(plan: SessionPlan, one: _Round, item: str, key: Key | None) -> list[str]:
    """Stimuli of an item that are compared with the reference; not that itself, where the key tells it."""
    names = one.slots[item]
    return [name for name in names if plan.controls or key is None or not _is_reference(key, item, name)]


def _pairs_of(plan: SessionPlan, one: _Round, item: str, key: Key | None) -> list[tuple[str, str]]:
    if plan.pairs == "reference":
        return [(REFERENCE, name) for name in _objects(plan, one, item, key)]
    if plan.pairs == "all":
        return list(combinations(one.slots[item], 2))
    if key is None:
        raise InputError("plan: pairs of conditions need the key; give it with --key")
    of_condition = {condition: name for name, condition in _conditions(key, item).items()}
    for condition in (one for pair in plan.pairs for one in pair):
        if condition not in of_condition:
            raise InputError(
                f"plan: pairs: item {item} has no condition {condition!r}{did_you_mean(condition, of_condition)}"
            )
    return [(of_condition[a], of_condition[b]) for a, b in plan.pairs]


def _conditions(key: Key, item: str) -> Mapping[str, str]:
    if item not in key:
        raise InputError(f"the key does not hold item {item}; it belongs to another package")
    return key[item]


def _is_reference(key: Key, item: str, name: str) -> bool:
    names = _conditions(key, item)
    if name not in names:
        raise InputError(f"the key does not hold stimulus {name} of item {item}; it belongs to another package")
    return names[name] == HIDDEN_REFERENCE


def _pair(pair: tuple[str, str], swap: int) -> tuple[str, str]:
    return (pair[1], pair[0]) if swap else pair


def _balanced(count: int, secret: bytes, purpose: str) -> list[int]:
    """Zeros and ones, as many of one as of the other (one more at random), in random order."""
    rng = random.Random(hmac.new(secret, purpose.encode(), hashlib.sha256).digest())
    first = rng.randrange(2)
    result = [(first + k) % 2 for k in range(count)]
    rng.shuffle(result)
    return result
