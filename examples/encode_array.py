"""Encode an array as soundfile returns it, (time, channel), save the stream, and decode it."""

import sys

import numpy as np

import hoa

folder = sys.argv[1] if len(sys.argv) > 1 else "."
noise = np.random.default_rng(0).standard_normal((48_000, 25))  # 1 s of fourth order at 48 kHz, float64
scene = hoa.Scene.from_array(0.05 * noise, 48_000, axes="time channel")

model = hoa.load()
stream = model.encode(scene, kbps=12)
print(model, stream, *stream.changes, sep="\n")
stream.save(f"{folder}/noise.arvq")

decoded = model.decode(hoa.Stream.open(f"{folder}/noise.arvq"))
print(f"decoded: {decoded.samples.shape} at {decoded.sample_rate_hz} Hz")
hoa.write_scene(f"{folder}/decoded.wav", decoded)
