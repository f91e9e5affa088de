"""What a listener's page is told, and the files that it may fetch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from listening.sessions.active_listener import ActiveListener, file_id
from listening.sessions.package import SIGNALS, Rendition, TestPackage
from listening.sessions.pages import REFERENCE
from listening.sessions.plan import SessionPlan
from listening.sessions.progress import Progress
from listening.sessions.texts import Texts, language_names
from render.common.errors import InputError


def session_json(
    listener: ActiveListener, plan: SessionPlan, package: TestPackage, texts: Texts, language: str | None
) -> dict[str, Any]:
    """Everything that the listener's page needs, and nothing that tells a condition."""
    state = listener.progress
    chosen = next(name for name in (language, state.language, next(iter(texts))) if name in texts)
    transducer = transducer_in_use(state, plan, package)
    rendition = package.renditions[transducer]
    return {
        "title": plan.title or (package.title if plan.method == "mushra" else ""),
        "listener": listener.row.id,
        "method": plan.method,
        "languages": language_names(texts),
        "language": chosen,
        "texts": dict(texts[chosen]),
        "plan": {
            "require_100": plan.require_100,
            "comments": plan.comments,
            "level_range_db": plan.level_range_db,
            "transducer": transducer,
            "transducers": list(listener.session.transducers),
            "screening": plan.screening,
        },
        "layout": dict(rendition.layout),
        "audio": {
            "sample_rate_hz": rendition.sample_rate_hz,
            "channels": len(rendition.layout["channels"]),
        },
        "signals": {name: file_id(listener.row.secret, "signals", name) for name in SIGNALS},
        "pages": [_page_json(listener, number, plan, rendition) for number in range(len(listener.session.pages))],
        "state": state.as_json(),
    }


def _page_json(listener: ActiveListener, number: int, plan: SessionPlan, rendition: Rendition) -> dict[str, Any]:
    page = listener.session.pages[number]
    if page.kind == "questionnaire":
        return {"kind": page.kind, "fields": [asdict(field) for field in plan.questionnaire]}
    if page.trial is None:
        return {"kind": page.kind}
    trial = page.trial
    ids = [file_id(listener.row.secret, number, slot) for slot in range(1, len(trial.slots) + 1)]
    reference = file_id(listener.row.secret, number, 0) if trial.has_reference else None
    result = {
        "kind": page.kind,
        "item_number": trial.number,
        "items": sum(other.kind == page.kind for other in listener.session.pages),
        "attribute": trial.attribute,
        "frames": rendition.items[trial.item].frames,
        "reference": reference,
        "stimuli": ids,
    }
    if plan.method in ("abx", "ab"):
        result |= dict(zip(("a", "b", "x"), ids, strict=False))
    return result


def audio_path(
    listener: ActiveListener, plan: SessionPlan, package: TestPackage, name_of_file: str
) -> Path | None:
    """File of an id that this listener's session holds, for the transducer that he uses."""
    rendition = package.renditions[transducer_in_use(listener.progress, plan, package)]
    found = listener.files.get(name_of_file)
    if found is None:
        return None
    page, slot = found
    trial = None if page is None else listener.session.pages[page].trial
    if trial is None:
        return rendition.signals.get(str(slot))
    item = rendition.items[trial.item]
    name = REFERENCE if slot == 0 else trial.slots[int(slot) - 1]
    return (item.reference if name == REFERENCE else item.stimuli[name]).path


def transducers_of(plan: SessionPlan, package: TestPackage) -> tuple[str, ...]:
    """Transducers that the plan allows and the package has a rendition for.

    Raises
    ------
    InputError
        If there is none.
    """
    wanted = ("loudspeakers", "headphones") if plan.transducer == "either" else (plan.transducer,)
    found = tuple(name for name in wanted if name in package.renditions)
    if not found:
        raise InputError(
            f"{package.folder}: holds no rendition for {plan.transducer}; export it with "
            "listening.export --binaural"
        )
    return found


def transducer_in_use(state: Progress, plan: SessionPlan, package: TestPackage) -> str:
    """Transducer that the listener has said, or the first that is possible."""
    return state.transducer or transducers_of(plan, package)[0]
