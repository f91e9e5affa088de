"""Codes of all scenes in a folder as one array of frames, for a language model; from codes back to a scene.

Each scene becomes (frame, codebook) of its first 8 codebooks, which are all there in every frame: where a model
has side information, that takes the place of the last codebooks only (`Tokens.mask`). A row of -1 parts scenes.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import hoa

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
else:
    raise SystemExit("usage: python examples/tokens_of_folder.py FOLDER")

model = hoa.load()
rows = []
for path in sorted(folder.glob("*.wav")):
    tokens = model.tokens(hoa.read_scene(path), codebooks=8)
    assert tokens.mask.all()
    rows += [tokens.codes.T, torch.full((1, 8), -1)]
    print(f"{path.name}: {tokens.codes.shape[1]} frames, {tokens.frame_rate_hz:.2f} a second")
frames = torch.cat(rows).numpy().astype(np.int16)
np.save(folder / "tokens.npy", frames)
print(f"tokens.npy: {frames.shape}, {(frames >= 0).sum()} tokens of {model.config.codebook_size}")

# what a language model says about the last scene, here its own codes with the finer half left out
decoded = model.decode(tokens.with_codes(tokens.codes[:4]))
hoa.write_scene(folder / "decoded" / path.name, decoded)
