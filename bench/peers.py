"""Programs to compare with, installed apart from the environment of this repository.

Each is optional: what cannot be installed, because there is no network or no wheel for this machine, is left out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / ".venv.peers"
PACKAGES = {
    # einops and tqdm are all that its network needs, see bench/stock_dac.py
    "stock": ["--no-deps", "descript-audio-codec==1.0.0", "descript-audiotools==0.7.2", "einops", "tqdm"],
    "onnxruntime": ["onnxruntime==1.32.0", "onnx==1.23.2"],
    "openvino": ["openvino==2026.4.1", "onnx==1.23.2"],
    "ear-render": ["ear==2.1.0", "setuptools<80"],
    "ffmpeg": ["imageio-ffmpeg==0.8.1"],  # a binary of ffmpeg
}


def installed(peer: str) -> Path | None:
    """Return the folder of a peer's packages, which are installed there once; None if that is impossible."""
    folder = FOLDER / peer
    if not folder.exists():
        uv = Path(sys.prefix) / "bin" / "uv"
        command = [uv, "pip", "install", "-q", "-p", sys.executable, "--target", folder, *PACKAGES[peer]]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(
                f"{peer}: not installed, left out: {(done.stderr.strip().splitlines() or ['?'])[-1]}",
                file=sys.stderr,
            )
            return None
    return folder
