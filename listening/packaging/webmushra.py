"""Package for webMUSHRA (Fraunhofer IIS and AudioLabs): configuration files and audio, the program not included.

The files allow for three of its properties. It adds the hidden reference to the conditions itself, so none is
listed. Its own anchors miss the mask of BS.1534-3 and come 2.2 ms early, so they are switched off and ours are
files. Firefox decodes 24-bit files of 12 channels wrongly, so the files hold 32-bit floats. Training is a
configuration of its own, which keeps its grades apart.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from listening.packaging.plan_report import Presented
from render.common.files import whole_file

FOLDER = "configs/resources"
SUBTYPE = "FLOAT"
BUFFER_FRAMES = 2048
_HEXADECIMAL = re.compile(r"[0-9a-f]{8}")


def write_configurations(
    package: Path,
    test: str,
    texts: tuple[str, str, str, str],
    items: dict[str, dict[str, str]],
    force: bool,
) -> dict[str, dict[str, Any]]:
    """Write ``configs/<test>.yaml`` and ``configs/<test>_training.yaml``; return file -> what it holds.

    Parameters
    ----------
    package : Path
    test : str
        Id of the test: letters, digits and _.
    texts : tuple of str
        Title, instruction of the test, instruction of the training, what must be heard of the tone.
    items : dict
        Item -> blind name -> condition. The hidden reference is not listed, as webMUSHRA adds it.
    """
    title, instruction, training, level = texts
    resources = f"{FOLDER}/{test}"
    written = {}
    for name, text, is_training in ((test, instruction, False), (f"{test}_training", training, True)):
        pages: list[Any] = [
            {"type": "generic", "id": "instruction", "name": title, "content": text},
            {
                "type": "volume", "id": "level", "name": "Level", "defaultVolume": 1.0,
                "content": f"{level}. Do not change the level during a trial.",
                "stimulus": f"{resources}/signals/tone.wav",
            },
            ["random", *(_trial(item, names, resources) for item, names in items.items())],
            _finish(is_training),
        ]  # fmt: skip
        written[f"configs/{name}.yaml"] = configuration = {
            "testname": title, "testId": name, "bufferSize": BUFFER_FRAMES, "stopOnErrors": True,
            "showButtonPreviousPage": False, "remoteService": "service/write.php", "pages": pages,
        }  # fmt: skip
        with whole_file(package / "configs" / f"{name}.yaml", force) as temporary:
            temporary.write_text("\n".join(_yaml(configuration, 0)) + "\n", encoding="utf-8")
    return written


def presented(configurations: dict[str, dict[str, Any]]) -> Presented:
    """Presentation as the configuration of the test, which is the first, prescribes it."""
    pages = next(iter(configurations.values()))["pages"]
    signals = next(page["stimulus"] for page in pages if "stimulus" in page).rpartition("/")[0]
    how, *trials = next(page for page in pages if isinstance(page, list))
    stimuli = "random" if all(trial["randomize"] for trial in trials) else "fixed"
    return Presented(
        instruction=" and ".join(configurations),
        level=f"{signals}/level.wav",
        assessors="No orders are prepared: webMUSHRA draws them, for any number of listeners.",
        stimuli=1 + len(trials[0]["stimuli"]),
        orders=f"webMUSHRA plays the items in {how} order and the stimuli of each in {stimuli} order,\n"
        "anew for every listener; over the listeners nothing balances them.",
    )


def _trial(item: str, names: dict[str, str], resources: str) -> dict[str, Any]:
    """Page of one item."""
    return {
        "type": "mushra", "id": item, "name": item, "content": "", "showWaveform": False, "enableLooping": True,
        "strict": True, "reference": f"{resources}/{item}/reference.wav",
        "createAnchor35": False, "createAnchor70": False, "randomize": True, "showConditionNames": False,
        "stimuli": {name: f"{resources}/{item}/{name}.wav" for name, made in names.items() if made != "href"},
    }  # fmt: skip


def _finish(is_training: bool) -> dict[str, Any]:
    """Last page; only the test's own ratings are kept."""
    page: dict[str, Any] = {
        "type": "finish", "name": "Thank you", "content": "Your ratings are being sent.", "showResults": False,
        "writeResults": not is_training,
    }  # fmt: skip
    if not is_training:
        page["questionnaire"] = [{"type": "text", "label": "Listener", "name": "listener"}]
    return page


def _yaml(value: Any, depth: int) -> list[str]:
    """YAML lines in block style. Texts and blind names are in double quotes."""
    pad = "  " * depth
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            shown = _scalar(key) if _HEXADECIMAL.fullmatch(key) else key
            if isinstance(inner, dict | list):
                lines += [f"{pad}{shown}:", *_yaml(inner, depth + 1)]
            else:
                lines.append(f"{pad}{shown}: {_scalar(inner)}")
        return lines
    lines = []
    for inner in value:
        if isinstance(inner, dict | list):
            lines += [f"{pad}-", *_yaml(inner, depth + 1)]
        else:
            lines.append(f"{pad}- {_scalar(inner)}")
    return lines


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
