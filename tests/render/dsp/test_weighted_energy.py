"""Energies of filtered signals against SciPy's filter."""

import numpy as np
from scipy.signal import butter, sosfilt

from render.dsp.weighted_energy import add_energy


def test_energies_and_states_are_those_of_scipys_filter():
    sections = butter(2, [0.02, 0.3], "bandpass", output="sos")
    signals = np.random.default_rng(0).standard_normal((1000, 16))
    state, energy = np.zeros(64), np.full(16, 2.0)
    for part in np.split(signals, [1, 400]):  # a filter goes on where it was
        add_energy(part.reshape(-1), sections, state, energy)
    filtered, delays = sosfilt(sections, signals, axis=0, zi=np.zeros((2, 2, 16)))
    np.testing.assert_allclose(energy, 2.0 + np.sum(filtered**2, axis=0), rtol=1e-12)
    np.testing.assert_allclose(state.reshape(2, 2, 16), delays, atol=1e-12)
