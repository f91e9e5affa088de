"""Make the low anchor of BS.1534-3 of a scene, and write both for a listening test."""

import sys

import numpy as np

import hoa

folder = sys.argv[1] if len(sys.argv) > 1 else "."
noise = 0.05 * np.random.default_rng(0).standard_normal((16, 48_000)) * np.hanning(48_000)
scene = hoa.Scene.from_array(noise, 48_000)
anchor = hoa.low_anchor(scene)
hoa.write_scene(f"{folder}/reference.wav", scene)
hoa.write_scene(f"{folder}/low_anchor.wav", anchor)

spectrum = np.abs(np.fft.rfft(anchor.samples[0])) / np.abs(np.fft.rfft(scene.samples[0]))
print(f"at 3 kHz {20 * np.log10(spectrum[3_000]):.1f} dB, at 5 kHz {20 * np.log10(spectrum[5_000]):.0f} dB")
