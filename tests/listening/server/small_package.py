"""A small package of a listening test, as listening.export writes it, and its key; noise instead of scenes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import soundfile

from listening.test_design.presentation_orders import orders
from render.hoa.layout import layout

RATE_HZ = 44100  # at which a browser without a sound device runs
CONDITIONS = ("href", "la", "opus3_160", "prop")


def write_package(folder: Path, items=("Beach", "Park", "Street", "Woods"), seconds=1.5, layout_name="0+2+0",
                  conditions=CONDITIONS) -> Path:  # fmt: skip
    """Write ``package-small`` and ``key-small.json`` into a folder; return the package."""
    package, rng = folder / "package-small", np.random.default_rng(23)
    speakers = layout(layout_name).loudspeakers
    frames, names, entries = round(seconds * RATE_HZ), {}, []
    for item in items:
        (package / "audio" / item).mkdir(parents=True)
        blind = sorted(hashlib.sha256(f"{item} {c}".encode()).hexdigest()[:8] for c in conditions)
        names[item] = dict(zip(blind, rng.permutation(conditions).tolist(), strict=True))
        digests = {}
        for name in ("reference", *blind):
            file = package / "audio" / item / f"{name}.wav"
            swell = np.abs(np.sin(np.linspace(0, 6, frames)))[:, None]
            noise = 0.1 * swell * rng.standard_normal((frames, len(speakers)))
            soundfile.write(file, noise, RATE_HZ, "PCM_24", format="WAVEX")
            digests[file.name] = hashlib.sha256(
                f"{item}/{file.name}".encode() + b"\0" + file.read_bytes()
            ).hexdigest()
        entries.append({
            "id": item, "material": "noise", "frames": frames, "loudness_gated": True,
            "reference": f"audio/{item}/reference.wav",
            "stimuli": {name: f"audio/{item}/{name}.wav" for name in blind}, "digests": digests,
        })  # fmt: skip
    (package / "signals").mkdir()
    for signal, length in (("identification", 30000 * len(speakers)), ("level", 48000), ("tone", 14400)):
        noise = 0.05 * rng.standard_normal((length, len(speakers)))
        soundfile.write(package / "signals" / f"{signal}.wav", noise, RATE_HZ, "PCM_24", format="WAVEX")
    channels = [
        {"label": s.label, "azimuth_deg": s.azimuth_deg, "elevation_deg": s.elevation_deg, "is_lfe": s.is_lfe}
        for s in speakers
    ]
    session = {
        "title": "Listening test", "instruction": "-",
        "training": {"instruction": "-", "items": [items[0]]},
        "scale": {"Bad": [0, 20], "Poor": [20, 40], "Fair": [40, 60], "Good": [60, 80], "Excellent": [80, 100]},
        "layout": {"name": layout_name, "channel_order": "bs2051", "channels": channels},
        "audio": {"sample_rate_hz": RATE_HZ, "format": "24-bit WAV", "lfe": "silent", "digest": "-"},
        "signals": [f"signals/{signal}.wav" for signal in ("identification", "level", "tone")],
        "target_lufs": -26.0, "items": entries,
        "orders": orders(4, {item: list(stimuli) for item, stimuli in names.items()}, b"seed", 1),
    }  # fmt: skip
    (package / "session.json").write_text(json.dumps(session))
    key = {"layout": "small", "manifest_sha256": "00", "items": names, "orders_seed": 1}
    (folder / "key-small.json").write_text(json.dumps(key))
    return package
