"""Keys of what a build leaves on disk. A file is kept as long as its key stays the same.

Each key covers the code that its file really depends on, found by following import statements
(`render.common.code_digest`), and nothing else:

    a stimulus       its condition's module, and `renditions`, which is applied to all of them
    its quality      the quality gate and what it measures with
    contact sheet    the drawing, the stimuli and their captions

So an edit of a figure or of another condition keeps the audio, an edit of the gate measures the same audio again,
and an edit of the codec makes the stimuli of the codec again.
"""

from __future__ import annotations

from typing import Any

from listening.conditions.condition import Condition
from render.common.code_digest import code_digest
from render.common.files import sha256_of, versions

LIBRARIES = ("hoa-rvqgan", "numpy", "scipy", "soxr", "torch")
"""Installed packages whose versions are part of every key."""
RENDITIONS = "listening.stimulus_build.renditions"
QUALITY_GATE = "listening.stimulus_build.quality_gate"
CONTACT_SHEET = "listening.stimulus_build.contact_sheet"


def stimulus_key(condition: Condition, source: dict[str, Any]) -> str:
    """Key of a stimulus and its payload.

    Parameters
    ----------
    condition : Condition
    source : dict
        What it is made from, as JSON values: digest of the recording, window, foreground objects.
    """
    return sha256_of(
        {
            "condition": condition.id,
            "parameters": condition.parameters,
            "source": source,
            "versions": versions(*LIBRARIES),
            "code": code_digest(condition.module, RENDITIONS),
        }
    )


def quality_key() -> str:
    """Key of what the quality gate measured of a stimulus, apart from the stimulus itself."""
    return code_digest(QUALITY_GATE)


def contact_sheet_key(stimuli: dict[str, str], captions: dict[str, str]) -> str:
    """Key of a contact sheet: the SHA-256 of each stimulus that it shows, and each caption, by condition."""
    return sha256_of({"code": code_digest(CONTACT_SHEET), "stimuli": stimuli, "captions": captions})
