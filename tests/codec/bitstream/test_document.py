"""A second reader, written from docs/bitstream.md alone, finds the same content in our files."""

import io
import math
import zlib
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import sqrtm

from codec.bitstream.file import read_header, read_packets
from codec.bitstream.sizes import side_info_bytes
from codec.coding.model import Model
from codec.coding.pipeline import encode
from codec.side_info.klt import InverseKLT, klt_basis
from codec.side_info.parameter_coding import (
    _NONZERO_SHARE,
    SpatialParameters,
    decode_parameters,
    encode_parameters,
)
from render.hoa.scene import Scene


def number(data, at, size):
    return int.from_bytes(data[at : at + size], "little")


def read_by_the_document(data):
    """Header fields and, packet by packet, (side information, codes in file order)."""
    assert data[:5] == b"ARVQ\x0a"
    assert zlib.crc32(data[:52]) == number(data, 52, 4)
    flags, hop, channels, n, model_n, b = data[5], number(data, 6, 2), number(data, 20, 2), *data[22:25]
    low_delay = bool(flags & 4)
    frames = -(-number(data, len(data) - 16 if low_delay else 28, 8) // hop)
    count, at, packets = -(-frames // 16) if low_delay else max(1, frames // 256), 56, []
    for index in range(count):
        f = 256 if index < count - 1 else frames - 256 * (count - 1)
        f = 16 if low_delay else f
        quarters = 5 * channels * (channels + 1) + 12 * channels + 48
        side_bytes = math.ceil(quarters / (8 if low_delay else 4)) * max(1, f // 64) * (flags & 1)
        side_bits = 8 * math.ceil(quarters / 4) * 4 * f // 256 if low_delay else 8 * side_bytes
        left_out = min((n - 1) * f, max(0, math.ceil(side_bits / b) - (model_n - n) * f))
        codes = n * f - left_out
        size = side_bytes + math.ceil(codes * b / 8)
        begin, saved = at, 0
        if flags & 2:
            shift = 0
            while True:
                saved |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if data[at - 1] < 128:
                    break
        content = data[at : at + size - saved]
        at += size - saved
        assert zlib.crc32(data[:52] + index.to_bytes(4, "little") + data[begin:at]) == number(data, at, 4)
        at += 4
        take = bits_of(content) if not saved else decisions_of(content, b)
        side_info = bytes(int("".join(str(take(None)) for _ in range(8)), 2) for _ in range(side_bytes))
        found = []
        for position in range(codes):
            found.append(int("".join(str(take(position // f)) for _ in range(b)), 2))
        packets.append((side_info, found))
    if low_delay:
        trailer = data[:52] + count.to_bytes(4, "little") + data[at : at + 12]
        assert zlib.crc32(trailer) == number(data, at + 12, 4)
        at += 16
    assert at == len(data)
    return packets


def bits_of(content):
    stream = iter("".join(f"{byte:08b}" for byte in content))
    return lambda _book: int(next(stream))


def decisions_of(content, b):
    """Range decoder; asked for the next bit of a code of a codebook, or of the side information (None)."""
    stream = iter(content)
    state = {"range": 2**32, "value": int.from_bytes(bytes(next(stream, 0) for _ in range(4)), "big")}
    counters, node = {}, {}

    def take(book):
        k = node.get(book, 1)
        zeros, ones = counters.get((book, k), (4, 4))
        p = 2**14 if book is None else 2**15 * zeros // (zeros + ones)
        bound = state["range"] // 2**15 * p
        bit = int(state["value"] >= bound)
        if bit:
            state["value"] -= bound
            state["range"] -= bound
        else:
            state["range"] = bound
        while state["range"] < 2**24:
            state["value"] = 256 * state["value"] + next(stream, 0)
            state["range"] *= 256
        if book is not None:
            counters[book, k] = (zeros + 1 - bit, ones + bit)
            node[book] = 2 * k + bit if 2 * k + bit < 2**b else 1
        return bit

    return take


@pytest.mark.parametrize("codebooks", [2, 4])
def test_the_document_suffices_for_low_delay(side_info_model, codebooks):
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 40 * 512 - 9)).astype(np.float32)
    stream = Model(side_info_model, b"12345678").encode(Scene(samples, 44_100), codebooks, low_delay=True)
    file = io.BytesIO(stream.data)
    ours = list(read_packets(file, read_header(file, "x"), "x"))
    for packet, (side_info, codes) in zip(ours, read_by_the_document(stream.data), strict=True):
        assert packet.side_info == side_info
        assert packet.codes[packet.codes >= 0].tolist() == codes


@pytest.mark.parametrize("range_coded", [False, True])
@pytest.mark.parametrize("codebooks", [2, 4])
@pytest.mark.parametrize("has_side_info", [False, True])
def test_the_document_suffices(model, side_info_model, has_side_info, codebooks, range_coded):
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 300 * 512 - 9)).astype(np.float32)
    chosen = side_info_model if has_side_info else model
    data = encode(chosen, b"12345678", Scene(samples, 44_100), codebooks, range_coded)
    file = io.BytesIO(data)
    ours = list(read_packets(file, read_header(file, "x"), "x"))
    theirs = read_by_the_document(data)
    assert len(ours) == len(theirs) == 1
    for packet, (side_info, codes) in zip(ours, theirs, strict=True):
        assert side_info == packet.side_info
        flat = packet.codes.ravel()
        assert codes == flat[flat >= 0].tolist()


def shares_by_the_document():
    """Initial shares of numbers that are not 0, in 32nds: 120 contexts of levels, 120 of correlations."""
    text = (Path(__file__).parents[3] / "docs" / "bitstream.md").read_text()
    return text.split("in the order of 3 z + neighbours:")[1].split("An encoder may take any s")[0].split()


def test_the_initial_shares_of_the_parameters_are_those_of_the_document():
    table = shares_by_the_document()
    assert len(table) == 240
    assert [share for kind in _NONZERO_SHARE for share in kind] == [int(share) for share in table]


def parameters_by_the_document(data, channels, level_slots, slots):
    """Step number, active channels, numbers of levels and correlations."""
    table = shares_by_the_document()
    decide = adaptive_decisions_of(data)
    s = 0
    for _ in range(5):
        s = 2 * s + decide(None)
    active = [decide(None) for _ in range(channels)]
    if s == 31:
        return s, active, None, None
    digits = lambda n: len(f"{n:b}") if n else 0  # noqa: E731
    found = []
    rows = sum(active)
    for kind, shape in enumerate(((rows, 24, level_slots), (rows * (rows - 1) // 2, 12, slots))):
        numbers = np.zeros(shape, int)
        for r, i, k in np.ndindex(*numbers.shape):
            z = min(7, digits(r) + digits(i)) + 8 * min(4, digits(k)) if kind == 0 else digits(i) + 5 * digits(k)
            near = (abs(numbers[r, i - 1, k]) if i else 0) + (abs(numbers[r, i, k - 1]) if k else 0)
            place = 3 * z + min(2, near)
            v = int(table[120 * kind + place])
            if not decide(("flag", kind, place), (32 - v, v)):
                continue
            sign = -1 if decide(None) else 1
            n = 0
            while n < 15 and decide(("more", kind, min(z, 1), n), (4, 4)):
                n += 1
            magnitude = 1
            for _ in range(n):
                magnitude = 2 * magnitude + decide(None)
            numbers[r, i, k] = sign * magnitude
        found.append(numbers)
    return s, active, *found


def adaptive_decisions_of(content):
    stream = iter(content)
    state = {"range": 2**32, "value": int.from_bytes(bytes(next(stream, 0) for _ in range(4)), "big")}
    counts = {}

    def decide(context, start=(1, 1)):
        zeros, ones = counts.get(context, start) if context else (1, 1)
        bound = state["range"] // 2**15 * (2**15 * zeros // (zeros + ones))
        bit = int(state["value"] >= bound)
        state["value"] -= bound * bit
        state["range"] = state["range"] - bound if bit else bound
        while state["range"] < 2**24:
            state["value"] = 256 * state["value"] + next(stream, 0)
            state["range"] *= 256
        zeros, ones = zeros + 1 - bit, ones + bit
        counts[context] = (zeros, ones) if zeros + ones <= 512 else ((zeros + 1) // 2, (ones + 1) // 2)
        return bit

    return decide


@pytest.mark.parametrize("ambisonic", [True, False])
@pytest.mark.parametrize(("channels", "level_slots", "slots"), [(4, 32, 4), (2, 63, 7), (1, 1, 1), (9, 24, 3)])
def test_the_document_suffices_for_the_parameters(channels, level_slots, slots, ambisonic):
    random = np.random.default_rng(channels)
    active = np.arange(channels) != 1
    levels_db = random.uniform(-100, 0, (active.sum(), 1, 1)) + random.uniform(-5, 5, (1, 24, level_slots))
    pairs = active.sum() * (active.sum() - 1) // 2
    sent = SpatialParameters(active, levels_db, 0.3 * random.standard_normal((pairs, 12, slots)))
    data = encode_parameters(sent, side_info_bytes(channels, 2 * 64 * slots), ambisonic, np.ones(24))
    s, sent_active, levels, correlations = parameters_by_the_document(data, channels, level_slots, slots)
    ours = decode_parameters(data, channels, (24, level_slots), (12, slots), ambisonic)
    assert sent_active == active.astype(int).tolist() == ours.active.astype(int).tolist()
    assert s < 31
    step = 0.15 * 2 ** (s / 6)
    np.testing.assert_allclose(inverse_dct(levels * 12 * step, (0, 1, 2)), ours.levels_db, atol=1e-9)
    active_channels = [i for i in range(channels) if sent_active[i]]
    sums = [math.isqrt(i) + math.isqrt(j) for i, j in combinations(active_channels, 2)]
    steps = step * np.array([min(1, total / 4) if ambisonic else 1.0 for total in sums])
    back = inverse_dct(correlations * steps[:, None, None], (1, 2)).clip(-1, 1)
    np.testing.assert_allclose(back, ours.correlations, atol=1e-9)


def inverse_dct(x, axes):
    """x_n = Σ_k c_k X_k cos(π (2n + 1) k / 2N), c_0 = √(1/N), c_k = √(2/N)."""
    for axis in axes:
        size = x.shape[axis]
        k = np.arange(size)
        basis = np.sqrt(np.where(k == 0, 1, 2) / max(size, 1)) * np.cos(
            np.pi * np.outer(2 * k + 1, k) / (2 * max(size, 1))
        )
        x = np.moveaxis(np.tensordot(basis, x, (1, axis)), 0, axis)
    return x


def test_the_document_suffices_for_the_transform():
    """Two packets of three channels, the transform by sums over cosines instead of fast transforms."""
    hop, rate, channels = 64, 44_100, 3
    random = np.random.default_rng(5)
    lengths = [256 * hop, 300 * hop]
    transform, ours, before = InverseKLT(hop, rate), [], None
    y = (0.03 * random.standard_normal((channels, sum(lengths)))).astype(np.float32)
    theirs: list = []
    start = 0
    for length in lengths:
        level_slots, slots = length // hop // 8, length // hop // 64
        sent = SpatialParameters(
            np.ones(channels, bool),
            random.uniform(-80, -40, (channels, 24, level_slots)),
            random.uniform(-0.3, 0.3, (3, 12, slots)),
        )
        a, e = max(0, start - 1024), start + length + 1024
        axes, seed = klt_basis(sent, channels, length, hop, rate), 3_000_000_000 + length
        ours.append(transform(y[:, a:e], start - a, length, axes, seed))
        edges = edges_by_the_document(rate)
        bins = np.diff(edges)
        low = np.empty((slots, channels, channels))
        v, powers = np.empty((slots, 12, channels, channels)), np.empty((slots, 12, channels))
        for slot, band in np.ndindex(slots, 12):
            inside = [k for k in range(level_slots) if 64 * hop * slot <= 8 * hop * k]
            inside = [k for k in inside if slot == slots - 1 or 8 * hop * k < 64 * hop * (slot + 1)]
            power = 10 ** (sent.levels_db[:, :, inside].transpose(0, 2, 1) / 10)
            two = (power * bins).mean(1)[:, 2 * band : 2 * band + 2].sum(1) / bins[2 * band : 2 * band + 2].sum()
            correlation = np.eye(channels)
            for (i, j), r in zip(combinations(range(channels), 2), sent.correlations[:, band, slot], strict=True):
                correlation[i, j] = correlation[j, i] = r
            scale = np.sqrt(two)
            t = correlation * scale[:, None] * scale
            i = np.arange(channels)
            root = np.sqrt(1 - i / (1000 * channels))
            u = t * root[:, None] * root / np.trace(t) - 1e-9 * np.diag(i)
            found = np.linalg.eigh(u)[1][:, ::-1]
            v[slot, band] = found * np.sign((found / (1 + i[:, None]) ** 0.75).sum(0))
            powers[slot, band] = 4096 * np.diag(v[slot, band].T @ t @ v[slot, band])
        n, q = np.arange(2048), np.arange(1024)
        sine = np.sin(np.pi * (n + 0.5) / 2048)
        basis = np.sqrt(2 / 1024) * sine * np.cos(np.pi / 1024 * np.outer(q + 0.5, n + 0.5 + 512))
        padded = np.pad(y.astype(float), ((0, 0), (1024, 4096)))
        first = np.append(0, edges[2:-1:2])
        band_of = np.searchsorted(first, q, "right") - 1
        used_by = np.where(q < 2, 12, band_of)
        count = -(-length // 1024) + 1
        slot_of = [min((1024 * k - 1) // (64 * hop), slots - 1) for k in range(1, count)]
        centres = 1024 * np.arange(1, count)
        coefficients = np.stack([padded[:, start + c : start + c + 2048] @ basis.T for c in (0, *centres)])
        wide = np.bincount(band_of[2:], minlength=12)
        total = powers.sum(2)
        level = ((total * wide).sum(1) / 1024)[:, None]
        spectrum = 10 ** (np.array([18, 13.5, 11.5, 9, 5.5, -1, -6, -12, -18, -24, -28.5, -31.5]) / 10)
        gain = np.sqrt(0.01 / level * np.sqrt(spectrum * level / total)).clip(10**-1.5, 100)
        noise, mean = np.empty((slots, 12, channels, channels)), np.empty((slots, 12))
        for slot, band in np.ndindex(slots, 12):
            chosen = np.array(slot_of) == slot
            p = np.square(coefficients[1:][chosen][:, :, (band_of == band) & (q >= 2)]).mean((0, 2))
            w = powers[slot, band] * gain[slot, band] ** 2
            g = np.minimum(10 ** (9 / 20), np.sqrt(w / p))
            back = v[slot, band] / gain[slot, band]
            if band == 0:
                low[slot] = back * np.minimum(1, g)
            part, mean[slot, band] = np.flatnonzero((band_of == band) & (q >= 2)), p.mean()
            z = []
            for k in 1 + np.flatnonzero(chosen):
                crest = min(6, np.sqrt(np.square(coefficients[k][:, part]).mean() / mean[slot, band]))
                signs = signs_by_the_document(seed, channels, k, part)
                z.append(g[:, None] * coefficients[k][:, part])
                z[-1] += np.sqrt(np.maximum(w - g**2 * p, 0))[:, None] * signs * crest
            z = np.concatenate(z, 1)
            m_matrix = matrix_by_the_document(z @ z.T / z.shape[1], w, np.minimum(1, p / w))
            v[slot, band] = back @ m_matrix * g
            noise[slot, band] = back @ m_matrix * np.sqrt(np.maximum(w - g**2 * p, 0))
        assert 0.1 < (noise.any((2, 3))).mean() < 0.9
        v = np.concatenate([v, low[:, None]], 1)  # as a 13th band
        if before is None:
            before = v[0], noise[0], mean[0]
        frames_out = np.zeros((channels, length + 4096))
        for k in range(count):
            matrices, noises, means = before if k == 0 else (x[slot_of[k - 1]] for x in (v, noise, mean))
            back = np.einsum("qij,jq->iq", matrices[used_by], coefficients[k])
            for band in range(12):
                part = np.flatnonzero((band_of == band) & (q >= 2))
                e = np.square(coefficients[k][:, part]).mean()
                signs = signs_by_the_document(seed, channels, k, part)
                back[:, part] += noises[band] @ signs * min(6, np.sqrt(e / means[band]))
            frames_out[:, 1024 * k : 1024 * k + 2048] += back @ basis
        theirs.append(frames_out[:, 1024 : 1024 + length])
        before = v[-1], noise[-1], mean[-1]
        start += length
    # the last frames of both reach behind the end differently where it is no multiple of 1024
    expected = np.concatenate(theirs, 1)[:, :-2048]
    np.testing.assert_allclose(np.concatenate(ours, 1)[:, :-2048], expected, atol=2e-6 * np.abs(expected).max())


def matrix_by_the_document(s, w, r):
    s = s.copy()
    least = 1e-10 * np.trace(s) + 1e-20
    wanted = np.empty_like(s)
    for i, j in np.ndindex(*s.shape):
        s[i, j] = max(s[i, i], least) if i == j else 0.95 * s[i, j]
    for i, j in np.ndindex(*s.shape):
        kept = r[i] * r[j] * s[i, j] / np.sqrt(s[i, i] * s[j, j])
        wanted[i, j] = w[i] if i == j else kept * np.sqrt(w[i] * w[j])
    root = sqrtm(s)
    return np.linalg.inv(root) @ sqrtm(root @ wanted @ root) @ np.linalg.inv(root)


@lru_cache(None)
def sign_by_the_document(seed, channel, frame, place):
    mask = 2**64 - 1
    z = (seed + (((channel // 64 * 2**16 + frame) * 2**16 + place) + 1) * 0x9E3779B97F4A7C15) & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    z ^= z >> 31
    return -1 if z >> channel % 64 & 1 else 1


def signs_by_the_document(seed, channels, frame, part):
    signs = [[sign_by_the_document(seed, i, int(frame), n) for n in part.tolist()] for i in range(channels)]
    return np.array(signs)


def edges_by_the_document(rate):
    to_rate = lambda f: 21.4 * np.log10(1 + 0.00437 * f)  # noqa: E731
    e = np.linspace(to_rate(50), to_rate(min(20_000, 0.48 * rate)), 25)
    edges = np.round((10 ** (e / 21.4) - 1) / 0.00437 * 2048 / rate).astype(int)
    edges[0], edges[-1] = 2, 1025
    for i in range(1, 24):
        edges[i] = max(edges[i], edges[i - 1] + 1)
    return edges
