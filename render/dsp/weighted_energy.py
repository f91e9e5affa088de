"""Energy of many signals behind a filter of two second-order sections, compiled by Numba.

Its signature has it compiled, or loaded, at the import: once for all workers that are forked after it.
"""

from __future__ import annotations

from render.common.compiled import compiled
from render.common.vectors import filled, load, product_sum, store


@compiled("(float64[::1], float64[:, ::1], float64[::1], float64[::1])", nogil=True)
def add_energy(frames, sections, state, energy):  # pragma: no cover, compiled
    """Filter 16 signals and add the squares of the result to `energy` (16), float64 throughout.

    Parameters
    ----------
    frames : (time * 16)
    sections : (2, 6)
        Coefficients b0, b1, b2, 1, a1, a2 of each section, as SciPy has them.
    state : (4 * 16)
        Both delays of both sections (transposed direct form II), for the next call.
    energy : (16)
    """
    b0, b1, b2 = filled(sections[0, 0]), filled(sections[0, 1]), filled(sections[0, 2])
    a1, a2 = filled(-sections[0, 4]), filled(-sections[0, 5])
    d0, d1, d2 = filled(sections[1, 0]), filled(sections[1, 1]), filled(sections[1, 2])
    c1, c2 = filled(-sections[1, 4]), filled(-sections[1, 5])
    s, t, u, v = load(state, 0), load(state, 16), load(state, 32), load(state, 48)
    total = load(energy, 0)
    for at in range(0, frames.size, 16):
        x = load(frames, at)
        y = product_sum(b0, x, s)
        s = product_sum(a1, y, product_sum(b1, x, t))
        t = product_sum(a2, y, b2 * x)
        z = product_sum(d0, y, u)
        u = product_sum(c1, z, product_sum(d1, y, v))
        v = product_sum(c2, z, d2 * y)
        total = product_sum(z, z, total)
    store(state, 0, s)
    store(state, 16, t)
    store(state, 32, u)
    store(state, 48, v)
    store(energy, 0, total)
