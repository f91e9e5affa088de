"""What a built and exported test knows of its own report: a file of facts for `analysis.report`.

The points are those of `analysis.reporting.checklist`. A point of which a part is known only says what is MISSING;
what is not known at all (room, assessors, conclusions ...) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.reporting.checklist import facts_text
from listening.packaging.feeds import RATE_HZ, Levels
from listening.packaging.plan_report import ANCHOR_TEXT, Presented, measured_rate
from listening.packaging.session import INSTRUCTION, TRAINING
from listening.test_design.test_plan import Plan
from render.common.files import whole_file
from render.headphones.renderer import HeadphoneRendering


def known_facts(
    title: str,
    plan: Plan,
    items: Mapping[str, dict[str, Any]],
    levels: Mapping[str, Levels],
    layout: Mapping[str, Any],
    presented: Presented,
    headphones: HeadphoneRendering | None = None,
) -> dict[str, str]:
    """Point of the checklist -> what is known of it.

    Parameters
    ----------
    title : str
        Of the session.
    plan, items, levels, layout, presented, headphones
        As for `listening.packaging.plan_report.document`.
    """
    anchors = [f"{name}: {ANCHOR_TEXT[name]}" for name in ("la", "ma") if name in plan.conditions]
    facts = {
        "title": title,
        "training": f"As prescribed by the package: {TRAINING}",
        "material": _material(plan, items),
        "systems": _systems(plan, items),
        "anchors": "; ".join([*anchors, "code: listening/conditions/anchors.py of hoa-rvqgan"]) if anchors else "",
        "layout": _layout(layout, headphones),
        "level": _level(plan, levels, presented),
        "equipment": f"Files of {RATE_HZ / 1000:g} kHz. MISSING: player, converters, switching",
        "attribute": f"Instruction of the package: {INSTRUCTION}",
        "procedure": f"One trial for each item: open reference and {presented.stimuli} stimuli, one of them the "
        f"hidden reference. {' '.join(presented.orders.split())} MISSING: sessions, breaks, replicates",
    }
    return {point: text for point, text in facts.items() if text}


def write_facts(path: Path, facts: Mapping[str, str]) -> None:
    """Write the file of facts; it is replaced by every export, as it holds nothing that a person wrote."""
    comment = (
        "# Written by listening.export. Points that are missing belong into a file of your own:\n"
        "# python -m analysis.report --build FOLDER --template > facts.toml\n"
    )
    with whole_file(path, force=True) as temporary:
        temporary.write_text(comment + facts_text(facts), encoding="utf-8")


def _material(plan: Plan, items: Mapping[str, dict[str, Any]]) -> str:
    kinds: dict[str, list[str]] = {}
    for item, entry in items.items():
        source = f" ({entry['source']})" if "source" in entry else ""
        kinds.setdefault(entry["material"], []).append(item + source)
    listed = "; ".join(f"{material}: {', '.join(named)}" for material, named in kinds.items())
    frozen = "frozen in the plan before the build" if plan.excerpts else "chosen while building"
    return (
        f"{len(items)} items of at most {plan.seconds:g} s. {listed}. Excerpts by the written criteria "
        f"of stimuli.excerpts.selection, {frozen}; levels aligned by measurement, to {plan.target_lufs:g} LUFS of "
        "the rendered reference"
    )


def _systems(plan: Plan, items: Mapping[str, dict[str, Any]]) -> str:
    parts = []
    for name in plan.conditions:
        if name in ANCHOR_TEXT:
            continue
        made = [entry["conditions"][name] for entry in items.values()]
        parameters = [f"{key} {value}" for key, value in made[0].get("parameters", {}).items() if value]
        rate = measured_rate(made)
        parts.append(f"{name}: {', '.join([*parameters, *([f'{rate} kbit/s measured'] if rate else [])])}")
    return "; ".join(part.removesuffix(": ") for part in parts)


def _layout(layout: Mapping[str, Any], headphones: HeadphoneRendering | None) -> str:
    if headphones:
        head = headphones.head_record
        head = head if isinstance(head, str) else f"{head['sofa']} (SHA-256 {head['sha256']})"
        return f"Headphones; ear signals by {headphones.method}; head-related responses: {head}"
    places = ", ".join(
        f"{speaker['label']} ({speaker['azimuth_deg']:g}°, {speaker['elevation_deg']:g}°)"
        for speaker in layout["channels"]
    )
    return (
        f"Loudspeakers, layout {layout['name']}, nominal azimuth and elevation: {places}. MISSING: distances, "
        "measured positions"
    )


def _level(plan: Plan, levels: Mapping[str, Levels], presented: Presented) -> str:
    gains = ", ".join(f"{item} {level.gain_db:+.1f} dB" for item, level in levels.items())
    return (
        f"One gain for all conditions of an item brings its rendered reference to {plan.target_lufs:g} LUFS "
        f"(BS.1770): {gains}. Set with {presented.level}, pink noise of -20 dBFS rms. MISSING: "
        "sound pressure level"
    )
