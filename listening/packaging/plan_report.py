"""Test plan as ITU-R BS.1534-3, clause 10, asks for it: what a report must state, filled in or flagged as missing.

It names the conditions, so it lies beside the key and never in the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from listening.test_design.test_plan import Plan
from render.headphones.renderer import HeadphoneRendering

MISSING = "**MISSING**"
MIN_ITEMS, ITEMS_PER_SYSTEM, MAX_SECONDS = 5, 1.5, 12.0
TEMPLATE = Path(__file__).with_name("test_plan.md")
ANCHOR_TEXT = {
    "href": "hidden reference",
    "la": "low anchor: linear-phase low-pass at 3.5 kHz, on the standard's mask by more than 20 dB, lag 0",
    "ma": "mid anchor: linear-phase low-pass at 7 kHz, lag 0",
}


LOUDSPEAKERS = """Loudspeakers, layout $layout, channel order $order, 48 kHz.

$loudspeakers

$missing: room (dimensions, reverberation time, background noise), loudspeakers, their measured positions and
distances, room and impulse responses at the listening place, equalisation, equipment."""

ROOM_PRESSURE = """$missing: sound pressure level (78 ± 0.25 dBA for each channel, with $level, whose pink noise
has -20 dBFS rms)"""

HEADPHONES = """Headphones, channels left and right, 48 kHz. Ear signals by $method; head-related responses: $head.

$missing: headphones, their equalisation, equipment, where the listeners sit, background noise."""

BESIDE = """

The package also holds the items for headphones (virtual loudspeakers of the same layout; the key names the
head-related responses). Their ratings are never pooled with those of the loudspeakers."""

EAR_PRESSURE = """BS.1770 is defined for loudspeakers: its shelving filter stands for the head, which ear signals
hold already. It aligns these items with each other; it is not comparable with the loudness of loudspeaker feeds.

$missing: sound pressure level at the ear (artificial ear or head, with $level, whose pink noise has
-20 dBFS rms)"""


@dataclass(frozen=True)
class Presented:
    """What a package has written about its presentation, for the test plan to repeat.

    Attributes
    ----------
    instruction, level : str
        Files with the instructions, and with the noise for setting the level, relative to the package.
    assessors : str
        For how many listeners it is prepared, in a sentence.
    stimuli : int
        In each trial, the hidden reference included.
    orders : str
        In which order items and stimuli come, in a sentence.
    """

    instruction: str
    level: str
    assessors: str
    stimuli: int
    orders: str


def document(
    plan: Plan,
    items: dict[str, dict[str, Any]],
    levels: dict[str, Any],
    layout: dict[str, Any],
    presented: Presented,
    headphones: HeadphoneRendering | None = None,
    headphones_beside: bool = False,
) -> str:
    """Markdown text of the test plan, from the template beside this module.

    Parameters
    ----------
    plan : Plan
    items : dict
        Item -> entry in the manifest.
    levels : dict
        Item -> `listening.packaging.feeds.Levels`.
    layout : dict
        As in the session: name, channel order, loudspeakers.
    presented : Presented
        Read off the session or configuration that was written, which are what a listener meets.
    headphones : HeadphoneRendering, optional
        If the package is for headphones.
    headphones_beside : bool
        Whether a package for loudspeakers holds headphone feeds too.
    """
    frozen = (
        "frozen in the plan before building" if plan.excerpts else "chosen while building, not frozen in a plan"
    )
    objects = f"; {len(plan.objects)} foreground objects are mixed in alike" if plan.objects else ""
    reproduction, pressure = (HEADPHONES, EAR_PRESSURE) if headphones else (LOUDSPEAKERS, ROOM_PRESSURE)
    text = TEMPLATE.read_text(encoding="utf-8").replace("$pressure", pressure)
    text = text.replace("$reproduction", reproduction + BESIDE * headphones_beside)
    return Template(text).substitute(
        missing=MISSING,
        systems=_systems(plan, items),
        material=_material(items, levels),
        choice=frozen + objects,
        instruction=presented.instruction,
        level=presented.level,
        assessors=presented.assessors,
        stimuli=presented.stimuli,
        orders=presented.orders,
        layout=layout["name"],
        order=layout["channel_order"],
        loudspeakers=_loudspeakers(layout),
        method=headphones.method if headphones else "",
        head=_head(headphones.head_record) if headphones else "",
        target=f"{plan.target_lufs:g}",
        deviations="\n".join(f"- {sentence}" for sentence in _deviations(plan, items)),
    )


def measured_rate(made: Iterable[dict[str, Any]]) -> str:
    """Mean and range of the measured bit rates in kbit/s of one condition's stimuli; empty where none is coded."""
    rates = [one["kbps"] for one in made if "kbps" in one]
    return f"{sum(rates) / len(rates):.2f} ({min(rates):.2f} to {max(rates):.2f})" if rates else ""


def _table(header: str, rows: Iterable[Iterable[object]]) -> str:
    titles = header.split(", ")
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _systems(plan: Plan, items: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name in plan.conditions:
        made = [entry["conditions"][name] for entry in items.values()]
        rate = measured_rate(made)
        parameters = ", ".join(f"{key} {value}" for key, value in made[0].get("parameters", {}).items() if value)
        rows.append((name, ANCHOR_TEXT.get(name, "system under test"), parameters, rate))
    return _table("id, what, parameters, kbit/s measured: mean (range)", rows)


def _material(items: dict[str, dict[str, Any]], levels: dict[str, Any]) -> str:
    rows = []
    for item, entry in items.items():
        window = entry.get("window", {})
        lost, score = window.get("anchor_loss"), window.get("score")
        rows.append((
            item, entry["material"], entry.get("source", MISSING), window.get("start", MISSING),
            window.get("frames", MISSING), "" if score is None else f"{score:+.2f}",
            "" if lost is None else f"{lost:.1%}", f"{levels[item].gain_db:+.1f}",
        ))  # fmt: skip
    window = "start in samples, length in samples, criticality, loudness that the low anchor loses"
    return _table(f"item, material, source, {window}, gain in dB", rows)


def _loudspeakers(layout: dict[str, Any]) -> str:
    rows = [
        (number, speaker["label"], f"{speaker['azimuth_deg']:g}", f"{speaker['elevation_deg']:g}")
        for number, speaker in enumerate(layout["channels"], start=1)
    ]
    return _table("file channel, loudspeaker, azimuth in degrees, elevation in degrees", rows)


def _head(record: str | dict[str, str]) -> str:
    return record if isinstance(record, str) else f"{record['sofa']} (SHA-256 {record['sha256']})"


def _deviations(plan: Plan, items: dict[str, dict[str, Any]]) -> list[str]:
    deviations = []
    if missing := [ANCHOR_TEXT[name].split(":")[0] for name in ("la", "ma") if name not in plan.conditions]:
        deviations.append(f"no {' and no '.join(missing)} (clause 5.1)")
    systems = len([name for name in plan.conditions if name not in ANCHOR_TEXT])
    need = max(MIN_ITEMS, ITEMS_PER_SYSTEM * systems)
    if len(items) < need:
        deviations.append(f"{len(items)} items for {systems} systems; the standard wants at least {need:g}")
    if synthetic := [item for item, entry in items.items() if entry["material"].startswith("synthetic")]:
        deviations.append(
            f"synthetic material: {', '.join(synthetic)}; the standard wants typical broadcast material"
        )
    if plan.seconds > MAX_SECONDS:
        deviations.append(f"excerpts of {plan.seconds:g} s; at most {MAX_SECONDS:g} s are preferred")
    deviations.append("excerpts and levels are chosen by measurement; the standard wants experts to confirm them")
    return deviations
