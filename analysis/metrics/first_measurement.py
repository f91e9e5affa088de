"""The first measurement of a process, made where this module is imported, of a tenth of a second of noise.

It loads what Numba has compiled and designs the filters of ears and bands, which takes longer than to measure a
second of sound: `render.common.parallel.workers_need` has it made once for all workers.
"""

import numpy as np

from analysis.metrics.registry import measure
from render.hoa.scene import Scene

_NOISE = Scene(np.random.default_rng(0).standard_normal((16, 4410), np.float32), 44_100)
measure(_NOISE, _NOISE)
