"""Render an Ambisonic scene to loudspeakers.

Reads an ACN/SN3D file of any order up to 7 (WAV, RF64, BW64, W64, CAF, FLAC) block by block, decodes it for a
layout of ITU-R BS.2051 and writes the loudspeaker signals, with a record of what was done beside them
(FEED.json). No limiter and no gain: what goes beyond full scale is clipped in integer files and reported.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run

if TYPE_CHECKING:
    from render.layout import Layout
    from render.loudness import Meter
    from render.scene import Feed, Scene


def decode(scene: Scene, layout: Layout, method: str = "adm") -> Feed:
    """Loudspeaker signals of a scene.

    Parameters
    ----------
    scene : Scene
    layout : Layout
    method : str
        A decoder of `render.decoder.decoding_matrix`.

    Raises
    ------
    InputError
        If there is no such decoder for this layout and order.

    Examples
    --------
    >>> import numpy as np
    >>> from render.layout import layout
    >>> from render.scene import Scene
    >>> decode(Scene(np.ones((16, 8), np.float32), 48000), layout("7.1.4")).samples.shape
    (12, 8)
    """
    import numpy as np

    from render.decoder import decoding_matrix
    from render.scene import Feed

    matrix = decoding_matrix(layout, scene.order, method).astype(np.float32)
    return Feed(matrix @ scene.samples, scene.sample_rate_hz, layout)


def decode_file(
    source: Path,
    destination: Path,
    layout: Layout,
    method: str = "adm",
    order: str = "bs2051",
    subtype: str = "PCM_24",
    force: bool = False,
    loudness: bool = True,
) -> dict[str, Any]:
    """Decode a file block by block and write its record beside it; memory does not depend on the length.

    Parameters
    ----------
    source, destination : Path
    layout : Layout
    method : str
        A decoder of `render.decoder.decoding_matrix`.
    order : str
        Channel order of the file, ``bs2051`` or ``wav`` (rear before side, channel mask set).
    subtype : str
        Sample format of the file, see `render.audio_file.writer`.
    force : bool
        Replace an existing file that differs.
    loudness : bool
        Measure the loudness, which takes about as long as decoding.

    Returns
    -------
    dict
        The record: input, decoder and matrix digest, channels, peak, loudness, clipping.
    """
    import numpy as np

    from render.artefact import record_path, sha256_of, write_json
    from render.audio_file import BLOCK_FRAMES, blocks, info, writer
    from render.decoder import decoding_matrix
    from render.layout import Layout, file_order

    about = info(source)
    matrix = decoding_matrix(layout, about.ambisonic_order, method)
    permutation, mask = file_order(layout, order)
    speakers = tuple(layout.loudspeakers[index] for index in permutation)
    meter = None
    if loudness:
        from render.loudness import Meter

        meter = Meter(Layout(layout.name, speakers), about.sample_rate_hz)
    # Interleaved samples times a matrix from the right: neither file needs a transposition
    interleaved_matrix = np.ascontiguousarray(matrix[list(permutation)].T, np.float32)
    with writer(destination, len(speakers), about.sample_rate_hz, subtype, force, mask) as file:
        total = -(-about.frames // BLOCK_FRAMES)
        for block in progress(blocks(source), f"decode {about.path.name} in blocks", total):
            feed = (block.T @ interleaved_matrix).T
            if meter:
                meter.add(feed)
            file.write(feed)
    first_clipped = None
    if file.first_clipped:
        channel, sample = file.first_clipped
        first_clipped = {"channel": speakers[channel].label, "time_s": sample / about.sample_rate_hz}
    record = {
        "input": about.path.name,
        "ambisonic_order": about.ambisonic_order,
        "normalisation": "ACN/SN3D",
        "decoder": method,
        "matrix_sha256": sha256_of((np.round(matrix, 9) + 0.0).tolist()),
        "layout": layout.name,
        "channel_order": order,
        "channels": [asdict(speaker) for speaker in speakers],
        "sample_rate_hz": about.sample_rate_hz,
        "frames": about.frames,
        "subtype": subtype,
        "peak_dbfs": _db(20 * np.log10(file.peak)) if file.peak else None,
        "loudness_lufs": _db(meter.integrated_lufs() if meter.gated else meter.ungated_lufs()) if meter else None,
        "loudness_gated": meter.gated if meter else None,
        "clipped_values": file.clipped,
        "first_clipped": first_clipped,
    }
    write_json(record_path(Path(destination)), record, force=True)
    return record


def _loudness(meter: Meter | None) -> dict[str, Any]:
    if meter is None:
        return {"loudness_lufs": None, "loudness_gated": None}
    level = meter.integrated_lufs() if meter.gated else meter.ungated_lufs()
    return {"loudness_lufs": _db(level), "loudness_gated": meter.gated}


def _db(level: float) -> float | None:
    """Level for a record, which knows no infinity."""
    return round(float(level), 4) if math.isfinite(level) else None


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.decode")
    arguments.add_argument("scene", type=Path, help="Ambisonic file, ACN channel order, SN3D normalisation")
    arguments.add_argument(
        "--layout",
        required=True,
        help="7.1.4, 4+7+0, 5.1, stereo, ... or a .toml file of measured positions",
    )
    arguments.add_argument(
        "--decoder",
        default="adm",
        help="adm: the decoder of ITU-R BS.2127 and IAMF (default); maxre: the same with max-rE weights; "
        "allrad: AllRAD with max-rE by spaudiopy; epad, mode-matching, sampling: the classical ones",
    )
    arguments.add_argument(
        "--order",
        choices=("bs2051", "wav"),
        default="bs2051",
        help="channel order: the standard's (default), or WAV's, rear before side, with channel mask",
    )
    arguments.add_argument(
        "--subtype",
        choices=("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
        default="PCM_24",
        help="sample format of the feed (default PCM_24)",
    )
    arguments.add_argument("--no-loudness", action="store_true", help="skip the loudness: twice as fast")
    arguments.add_argument("--force", action="store_true", help="replace an existing feed that differs")
    arguments.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FEED",
        help="feed to write: .wav .rf64 .w64 .caf .flac",
    )
    given = arguments.parse_args()

    from render.layout import layout

    record = decode_file(
        given.scene,
        given.output,
        layout(given.layout),
        given.decoder,
        given.order,
        given.subtype,
        given.force,
        not given.no_loudness,
    )
    print(f"{given.output}: {record['layout']}, {' '.join(c['label'] for c in record['channels'])}")
    print(f"{record['frames'] / record['sample_rate_hz']:.3f} s, {_levels(record)}")
    if record["clipped_values"]:
        first = record["first_clipped"]
        print(
            f"warning: {record['clipped_values']} values beyond full scale were clipped, the first in "
            f"{first['channel']} at {first['time_s']:.4f} s (peak {record['peak_dbfs']:+.2f} dBFS); "
            "write --subtype FLOAT or lower the scene's level",
            file=sys.stderr,
        )


def _levels(record: dict[str, Any]) -> str:
    if record["peak_dbfs"] is None:
        return "silent"
    text = f"peak {record['peak_dbfs']:.2f} dBFS"
    if record["loudness_lufs"] is not None:
        text += f", {record['loudness_lufs']:.2f} LUFS"
    return text if record["loudness_gated"] is not False else f"{text} (shorter than 0.4 s: not gated)"


if __name__ == "__main__":
    run(main)
