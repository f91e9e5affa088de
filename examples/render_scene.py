"""Render a scene to 7.1.4 loudspeakers and to headphones: a click from the left."""

import sys

import numpy as np

import hoa

folder = sys.argv[1] if len(sys.argv) > 1 else "."
click = np.zeros((4, 4_800))  # first order: W, Y, Z, X
click[[0, 1], 2_400] = 0.5
scene = hoa.Scene.from_array(click, 48_000)

feed = hoa.render(scene, "7.1.4", decoder="adm")
energy = (feed.samples**2).sum(axis=1)
print("loudest loudspeaker:", feed.layout.labels[energy.argmax()])
hoa.write_feed(f"{folder}/click-7.1.4.wav", feed)

left, right = (hoa.binaural(scene) ** 2).sum(axis=1)
print(f"left ear over right ear: {10 * np.log10(left / right):.1f} dB")
