"""Eq. 3 of the paper between two arrays, and all measures between two scenes."""

import numpy as np

import hoa

random = np.random.default_rng(0)
reference = 0.1 * random.standard_normal((16, 44_100))
reference[1:] += 0.5 * reference[0]  # correlated channels
test = reference + 0.05 * random.standard_normal(reference.shape)

print(f"eq. 3: {hoa.measures.covariance_distance(reference, test):.3f}")

scenes = [hoa.Scene.from_array(samples, 44_100) for samples in (reference, test)]
found = hoa.compare(*scenes)
for name in ("cov_sum", "mel_W", "sisdr_mean_db", "doa_deg"):
    print(f"{name}: {found[name]:.3f}")
