"""Write spatial_limits.json: the limits of the spatial layer, for writers of decoders of docs/bitstream.md.

The bytes of the layer come from this project's range coder; what a decoder must make of them is computed here from
the document's formulas alone (sections "coding" and "levels"), in float64, without the decoder of this project.

PYTHONPATH=. python tests/golden/make_spatial_limits.py
"""

import json
from pathlib import Path

import numpy as np

from codec.bitstream.sizes import side_info_bytes
from codec.side_info.parameter_coding import _write

RATE_HZ, HOP, FRAMES = 44_100, 512, 16
LENGTH = FRAMES * HOP
LEVEL_SLOTS = FRAMES // 8


def cosines(size):
    """The orthonormal DCT-II of `size` values; its transpose is the inverse."""
    k = np.arange(size)
    basis = np.sqrt(2 / size) * np.cos(np.pi * np.outer(k, 2 * k + 1) / (2 * size))
    basis[0] /= np.sqrt(2)
    return basis


def transformed(values, axes, inverse=False):
    for axis in axes:
        basis = cosines(values.shape[axis])
        values = np.moveaxis(np.tensordot(basis.T if inverse else basis, values, (1, axis)), 0, axis)
    return values


def layer(active, levels_db, correlations):
    """Bytes of the layer (no layout, so all pairs have one step), and what they decode to."""
    size = side_info_bytes(len(active), FRAMES)
    for s in range(31):
        q = 0.15 * 2 ** (s / 6)
        level_numbers = np.round(transformed(levels_db, (0, 1, 2)) / (12 * q)).astype(np.int64)
        pair_numbers = np.round(transformed(correlations, (1, 2)) / q).astype(np.int64)
        data = _write(s, np.array(active), level_numbers, pair_numbers)
        if len(data) <= size:
            break
    levels = np.clip(transformed(level_numbers * 12 * q, (0, 1, 2), inverse=True), -180, 60)
    pairs = np.clip(transformed(pair_numbers * q, (1, 2), inverse=True), -1, 1)
    return data.ljust(size, b"\0"), levels, pairs


def edges():
    rate = np.linspace(*(21.4 * np.log10(1 + 0.00437 * np.array([50, 20_000]))), 25)
    found = np.round((10 ** (rate / 21.4) - 1) / 0.00437 * 2048 / RATE_HZ).astype(int)
    found[0], found[-1] = 2, 1025
    for i in range(1, 24):
        found[i] = max(found[i], found[i - 1] + 1)
    return found


def signal(channels):
    """x_c(n) = 0.1 / (c + 1) cos(π n (n + c) / 8192), rounded to float32: a chirp that passes every band."""
    n, c = np.arange(LENGTH), np.arange(channels)[:, None]
    return (0.1 / (c + 1) * np.cos(np.pi * n * (n + c) / 8192)).astype(np.float32)


WINDOW = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048))


def spectra(x):
    """Window j, from j = -1 on, is element j + 1."""
    padded = np.pad(x.astype(float), ((0, 0), (2048, 2048)))
    starts = [2048 - 1024 + 512 * j for j in range(-1, LENGTH // 512 + 2)]
    return np.stack([np.fft.rfft(WINDOW * padded[:, start : start + 2048]) for start in starts], 1)


def levels_of(x):
    """Level in decibels of every channel, level band and level slot."""
    power, e = np.square(np.abs(spectra(x))) / 2048**2, edges()
    result = np.empty((len(x), 24, LEVEL_SLOTS))
    for slot in range(LEVEL_SLOTS):
        windows = range(slot * 8, (slot + 1) * 8)
        for band in range(24):
            part = power[:, [j + 1 for j in windows], e[band] : e[band + 1]]
            result[:, band, slot] = 10 * np.log10(np.maximum(part.mean((1, 2)), 1e-16))
    return result


def restored(x, sent_db):
    """The section "levels": gains from -60 to 24 dB, linear in decibels between the centres of the level slots."""
    gains_db, e = np.clip(sent_db - levels_of(x), -60, 24), edges()
    centres = [slot * 8 + 3.5 for slot in range(LEVEL_SLOTS)]
    changed = spectra(x)
    for j in range(changed.shape[1]):
        for channel, band in np.ndindex(len(x), 24):
            gain_db = np.interp(j - 1, centres, gains_db[channel, band])
            changed[channel, j, e[band] : e[band + 1]] *= 10 ** (gain_db / 20)
    result = np.zeros((len(x), LENGTH + 4096))
    for j, frame in enumerate(np.fft.irfft(changed, axis=2).swapaxes(0, 1)):
        start = 1024 + 512 * (j - 1)
        result[:, start : start + 2048] += frame * WINDOW / 2
    return result[:, 2048 : 2048 + LENGTH], gains_db


def rounded(values, digits):
    return np.round(values, digits).tolist()


def main():
    bands, slots = np.arange(24), np.arange(LEVEL_SLOTS)
    # levels that swing by 30 dB around 50, -60 and -170 dB, correlations that swing by 0.5 around 0.9, 0, -0.9
    swing = np.cos(np.pi * (bands[:, None] + 0.5) * (1 + slots) / 24)
    levels = np.array([50, -60, -170])[:, None, None] + 30 * swing
    pairs = np.array([0.9, 0, -0.9])[:, None, None] + 0.5 * np.cos(np.pi * (np.arange(12)[:, None] + 0.5) / 12)
    data, levels_db, correlations = layer([True, False, True, True], levels, pairs)
    assert (levels_db == 60).sum() > 5
    assert (levels_db == -180).sum() > 5
    assert (correlations == 1).any()
    assert (correlations == -1).any()
    coding = {
        "channels": 4, "frames": FRAMES, "layout": "", "side_info": data.hex(), "active": [1, 0, 1, 1],
        "levels_db": rounded(levels_db, 6), "correlations": rounded(correlations, 9),
    }  # fmt: skip

    x = signal(3)
    own = levels_of(x)
    # 42 dB above what is there, 90 dB below it, and 18 to 30 dB above it from the lowest band to the highest
    wanted = own + np.stack(
        [np.full_like(own[0], 42), np.full_like(own[0], -90), 18 + np.tile(bands, (2, 1)).T / 2]
    )
    data, levels_db, _ = layer([True] * 3, wanted, np.zeros((3, 12, 1)))
    after, gains_db = restored(x, levels_db)
    assert (gains_db[0] == 24).all()
    assert (gains_db[1] == -60).all()
    assert 5 < (gains_db[2] == 24).sum() < 40
    positions = list(range(0, LENGTH, 64))
    restoration = {
        "channels": 3, "frames": FRAMES, "hop": HOP, "sample_rate_hz": RATE_HZ, "layout": "",
        "side_info": data.hex(),
        "before": "x_c(n) = 0.1 / (c + 1) cos(pi n (n + c) / 8192), c = 0 ... 2, n = 0 ... 8191, as float32",
        "every": 64, "after": [[float(f"{value:.7g}") for value in row[positions]] for row in after],
    }  # fmt: skip
    content = {
        "origin": "formulas of docs/bitstream.md in float64 (make_spatial_limits.py); the bytes of the layer by "
        "this project's range coder",
        "coding": coding,
        "levels": restoration,
    }
    text = json.dumps(content, separators=(",", ":")).replace(',"', ',\n"').replace("],[", "],\n[")
    Path(__file__).with_name("spatial_limits.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
