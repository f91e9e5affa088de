"""Layouts and decoding matrices as the JSON of the IEM plug-in suite; its layouts are SPARTA's, too.

The keys are those of the suite's ConfigurationHelper.h. ``Decoder`` has a ``Matrix`` (row of a loudspeaker, ACN
column) for the ``ExpectedInputNormalization`` (sn3d or n3d), the ``Weights`` (none, maxrE, inPhase) with
``WeightsAlreadyApplied``, and ``Routing``, the output channel of each row counted from 1. SimpleDecoder plays it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import whole_file
from render.hoa.beams import max_re_weights
from render.hoa.layout import Layout, nominal_loudspeakers
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, sn3d_to_n3d

if TYPE_CHECKING:
    from jaxtyping import Float

_DEFAULT_RADIUS_M = 1.0


def write_plugin_file(
    path: Path,
    layout: Layout,
    distances_m: dict[str, float],
    matrix: Float[ndarray, "loudspeaker acn"] | None = None,
    force: bool = False,
) -> None:
    """Write a layout, and a decoder for it if a matrix is given.

    Imaginary loudspeakers straight above and below, where there are no real ones within 45 degrees, let
    AllRADecoder design for the layout. LFE channels are no loudspeakers there; the first one is the subwoofer of
    SimpleDecoder.

    Parameters
    ----------
    path : Path
        Name of the file, ``.json``.
    layout : Layout
    distances_m : dict
        Distances of loudspeakers by label; 1 m where there is none, as those programs have it.
    matrix : (loudspeaker, acn), optional
        For ACN/SN3D scenes, as `render.loudspeakers.design.decoding_matrix`.
    force : bool
        Replace an existing file that differs.
    """
    heard = layout.full_range
    elements = [
        _element(speaker.azimuth_deg, speaker.elevation_deg, distances_m.get(speaker.label), index + 1)
        | {"Label": speaker.label}
        for index, speaker in enumerate(layout.loudspeakers)
        if index in heard
    ]
    for sign in (-1.0, 1.0):
        if max(sign * layout.loudspeakers[index].elevation_deg for index in heard) < 45:
            channel = len(layout.loudspeakers) + 1
            elements.append(_element(0.0, 90 * sign, None, channel) | {"IsImaginary": True})
    lfe = [
        {"Label": speaker.label, "Channel": index + 1}
        | ({"Radius": distances_m[speaker.label]} if speaker.label in distances_m else {})
        for index, speaker in enumerate(layout.loudspeakers)
        if speaker.is_lfe
    ]
    # A set of loudspeakers that is read back must not have the name of a standard layout
    name = f"{layout.name} positions" if nominal_loudspeakers(layout.name) else layout.name
    content: dict[str, Any] = {
        "Name": name,
        "Description": "Written by hoa-rvqgan. Label is the name of a channel here; other programs ignore it.",
    }
    if matrix is not None:
        content["Decoder"] = {
            "Name": name,
            "Description": f"Ambisonic decoder of order {order_of(matrix.shape[1])}",
            "ExpectedInputNormalization": "sn3d",
            "Weights": "none",
            "WeightsAlreadyApplied": False,
            "Matrix": matrix[heard].tolist(),
            "Routing": [index + 1 for index in heard],
        }
        if lfe:
            content["Decoder"]["SubwooferChannel"] = lfe[0]["Channel"]
    content["LoudspeakerLayout"] = {"Name": name, "Loudspeakers": elements, "LfeChannels": lfe}
    with whole_file(Path(path), force) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_layout(path: Path, layout: Layout, distances_m: dict[str, float], force: bool = False) -> None:
    """Write a ``.toml`` file of the loudspeakers of a layout, which `render.hoa.layout.layout` reads."""
    standard = bool(nominal_loudspeakers(layout.name))
    lines = [f"{'layout' if standard else 'name'} = {json.dumps(layout.name)}", "[loudspeakers]"]
    for speaker in layout.loudspeakers:
        words = [f"azimuth = {speaker.azimuth_deg!r}", f"elevation = {speaker.elevation_deg!r}"]
        words = ["lfe = true"] if speaker.is_lfe and not standard else words
        if speaker.label in distances_m:
            words.append(f"distance = {distances_m[speaker.label]!r}")
        lines.append(f"{json.dumps(speaker.label)} = {{ {', '.join(words)} }}")
    with whole_file(Path(path), force) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _element(azimuth_deg: float, elevation_deg: float, distance_m: float | None, channel: int) -> dict[str, Any]:
    return {
        "Azimuth": azimuth_deg,
        "Elevation": elevation_deg,
        "Radius": distance_m or _DEFAULT_RADIUS_M,
        "IsImaginary": False,
        "Channel": channel,
        "Gain": 1.0,
    }


def read_decoder(path: Path, layout: Layout, order: int) -> Float[ndarray, "loudspeaker acn"]:
    """Decoding matrix of a file for ACN/SN3D scenes of an order, with rows in the channel order of a layout.

    Of a decoder of a higher order the first columns count. Weights that are not applied yet are those of the
    scene's order, with the plug-ins' factors for the level: ((N + 1) / (n + 1))^¼ between the orders N of the
    decoder and n of the scene, ((n + 1) / Σ weights)^¼ for max-rE.

    Raises
    ------
    InputError
        If the file is missing or damaged, is for a lower order or other channels, or leaves in-phase weights to
        the program that reads it.
    """
    where = str(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{where}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None
    decoder = content.get("Decoder") if isinstance(content, dict) else None
    if not isinstance(decoder, dict):
        raise InputError(f"{where}: has no Decoder; export one from AllRADecoder or with render.layout --decoder")
    matrix = _matrix(decoder.get("Matrix"), where)
    own_order, channels = order_of(matrix.shape[1]), (order + 1) ** 2
    if own_order < order:
        raise InputError(
            f"{where}: a decoder of order {own_order}, the scene has order {order}; export a higher one"
        )
    columns = matrix[:, :channels] * ((own_order + 1) / (order + 1)) ** 0.25
    normalisation = str(decoder.get("ExpectedInputNormalization")).lower()
    if normalisation not in ("sn3d", "n3d"):
        raise InputError(f"{where}: ExpectedInputNormalization {normalisation!r}; possible are sn3d, n3d")
    if normalisation == "n3d":
        columns = columns * sn3d_to_n3d(order)
    weights = str(decoder.get("Weights", "none")).lower()
    if weights not in ("none", "maxre", "inphase"):
        raise InputError(f"{where}: Weights {weights!r}; possible are none, maxrE, inPhase")
    if weights != "none" and not decoder.get("WeightsAlreadyApplied", False):
        if weights == "inphase":
            raise InputError(f"{where}: in-phase weights are not applied yet; export it with maxrE or none")
        by_order = max_re_weights(order)
        columns = columns * by_order[acn_orders(order)] * ((order + 1) / by_order.sum()) ** 0.25
    result = np.zeros((len(layout.loudspeakers), channels))
    result[_rows(decoder, len(matrix), layout, where)] = columns
    return result


def _matrix(rows: Any, where: str) -> Float[ndarray, "row acn"]:
    try:
        matrix = np.array(rows, np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros((0, 0))
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise InputError(f"{where}: Decoder.Matrix is no matrix of numbers with rows of one length")
    columns = len(matrix[0])
    try:
        order_of(columns)
    except InputError as error:
        raise InputError(f"{where}: Decoder.Matrix has {columns} columns; {error}") from None
    return matrix


def _rows(decoder: dict[str, Any], count: int, layout: Layout, where: str) -> list[int]:
    """Channel of the layout, counted from 0, that each row of the matrix feeds."""
    routing = decoder.get("Routing", [index + 1 for index in layout.full_range])
    usable = [index + 1 for index in layout.full_range]
    valid = isinstance(routing, list) and len(routing) == count and len({str(one) for one in routing}) == count
    if not valid or any(isinstance(one, bool) or one not in usable for one in routing):
        raise InputError(
            f"{where}: {count} rows for the channels {routing}; layout {layout.name} has loudspeakers at the "
            f"channels {usable}"
        )
    return [one - 1 for one in routing]
