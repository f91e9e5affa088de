"""Means and confidence intervals of ratings in a DataFrame with columns of its own (simulated ratings)."""

import numpy as np
import pandas as pd

import hoa

random = np.random.default_rng(0)
means = {"href": 97, "prop": 78, "opus3_160": 60, "la": 20}
ratings = pd.DataFrame(
    [
        (f"subject {subject}", scene, system, float(np.clip(random.normal(mean, 8), 0, 100)))
        for subject in range(12)
        for scene in ("Beach", "Park", "TrainStation")
        for system, mean in means.items()
    ],
    columns=["subject", "scene", "system", "rating"],
)
columns = dict(listener="subject", item="scene", condition="system", score="rating")
print(hoa.summarise(ratings, **columns).round(1).to_string(index=False))
print(hoa.summarise(ratings, **columns, ci="crossed").round(1).to_string(index=False))
