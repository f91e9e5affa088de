"""Files of loudspeaker positions: TOML, and the JSON of the IEM plug-in suite and of SPARTA.

A TOML file names a layout of BS.2051 or IAMF (`layout`) and says where its loudspeakers stand, or names a set of
its own (`name`) and lists all loudspeakers in the order of their channels::

    name = "cube"
    [loudspeakers]
    "FLU" = { azimuth = 45.0, elevation = 35.3, distance = 2.4 }
    "SUB" = { lfe = true }

The JSON has an object ``LoudspeakerLayout`` with an array ``Loudspeakers`` (AllRADecoder, SPARTA AmbiDEC and
Panner) or ``GenericLayout`` with ``Elements`` (SPARTA Binauraliser), as the IEM suite's ConfigurationHelper.h
reads and writes them: ``Azimuth`` and ``Elevation`` in degrees, ``Radius``, ``Channel`` from 1, ``IsImaginary``
and ``Gain``. Imaginary loudspeakers are left out, since our decoders find their own, and ``Gain`` counts for these
alone. A channel that has no loudspeaker, and the ``SubwooferChannel`` of a ``Decoder``, are LFE channels. Ours
have their labels and distances in ``LfeChannels``, which other programs ignore.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render.common.errors import InputError

_MAX_CHANNELS = 256


@dataclass(frozen=True)
class LayoutFile:
    """What a file says about loudspeakers.

    Attributes
    ----------
    layout : str, optional
        The layout that the loudspeakers belong to; None for a set of its own.
    name : str
        Name of such a set.
    loudspeakers : dict of label to dict
        What is said of each: azimuth and elevation in degrees, distance in metres, gain_db, delay_ms, lfe.
    """

    layout: str | None
    name: str
    loudspeakers: dict[str, Any]


def read_layout_file(path: Path) -> LayoutFile:
    """Read a ``.toml`` or ``.json`` file of loudspeaker positions.

    Raises
    ------
    InputError
        If the file is missing or damaged, or lacks what the format requires.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return _of_json(json.loads(text), path)
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML ({error})") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if unknown := sorted(set(content) - {"layout", "name", "loudspeakers"}):
        raise InputError(f"{path}: unknown key {unknown[0]!r}; known are layout, loudspeakers, name")
    loudspeakers = content.get("loudspeakers", {})
    named = content.get("layout", None if "name" in content else "")
    return LayoutFile(None if named is None else str(named), str(content.get("name", "")), loudspeakers)


def _of_json(content: Any, path: Path) -> LayoutFile:
    for outer in ("GenericLayout", "LoudspeakerLayout"):
        for inner in ("Elements", "Loudspeakers"):
            found = content.get(outer) if isinstance(content, dict) else None
            if isinstance(found, dict) and isinstance(found.get(inner), list):
                name = found.get("Name") or content.get("Name") or path.stem
                decoder = content.get("Decoder")
                subwoofer = decoder.get("SubwooferChannel") if isinstance(decoder, dict) else None
                lfe = found.get("LfeChannels") or ([] if subwoofer is None else [{"Channel": subwoofer}])
                where = f"{path}: {outer}.{inner}"
                return LayoutFile(None, str(name), _by_label(found[inner], lfe, where))
    raise InputError(
        f"{path}: no LoudspeakerLayout.Loudspeakers and no GenericLayout.Elements; export the layout from "
        "IEM AllRADecoder or SPARTA AmbiDEC, or give the positions in a .toml file"
    )


def _by_label(elements: list[Any], lfe: Any, where: str) -> dict[str, dict[str, Any]]:
    """Loudspeakers and LFE channels by label, in the order of their channels."""
    by_channel: dict[int, tuple[str, dict[str, Any]]] = {}
    real = [one for one in elements if not (isinstance(one, dict) and one.get("IsImaginary", False))]
    for element in real:
        if not isinstance(element, dict) or not {"Azimuth", "Elevation", "Channel"} <= set(element):
            raise InputError(f"{where}: {element!r} needs Azimuth, Elevation and Channel")
        angles = {"azimuth": element["Azimuth"], "elevation": element["Elevation"]}
        _add(by_channel, element, angles, str(element["Channel"]), where)
    for element in lfe if isinstance(lfe, list) else []:
        if isinstance(element, dict) and element.get("Channel") not in by_channel:
            _add(by_channel, element, {"lfe": True}, f"LFE{element.get('Channel')}", where)
    for channel in range(1, max(by_channel, default=0)):
        by_channel.setdefault(channel, (f"LFE{channel}", {"lfe": True}))
    result = dict(by_channel[channel] for channel in sorted(by_channel))
    if len(result) < len(by_channel):
        labels = [label for label, _ in by_channel.values()]
        raise InputError(f"{where}: two loudspeakers are called {max(labels, key=labels.count)!r}")
    return result


def _add(
    by_channel: dict[int, tuple[str, dict[str, Any]]],
    element: dict[str, Any],
    values: dict[str, Any],
    default_label: str,
    where: str,
) -> None:
    channel = element.get("Channel")
    if isinstance(channel, bool) or not isinstance(channel, int) or not 1 <= channel <= _MAX_CHANNELS:
        raise InputError(f"{where}: channel {channel!r}; possible are 1 to {_MAX_CHANNELS}")
    if channel in by_channel:
        raise InputError(f"{where}: two loudspeakers have channel {channel}")
    distance = {"distance": element["Radius"]} if "Radius" in element else {}
    by_channel[channel] = (str(element.get("Label", default_label)), values | distance)
