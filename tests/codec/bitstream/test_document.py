"""A second reader, written from docs/bitstream.md alone, finds the same content in our files."""

import io
import math
import zlib
from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import sqrtm

from codec.bitstream.file import read_header, read_packets
from codec.bitstream.sizes import side_info_bytes
from codec.coding.low_delay import write_low_delay
from codec.coding.pipeline import encode, low_delay_header
from codec.side_info.attacks import Attack, attenuate_before
from codec.side_info.band_slopes import set_slopes
from codec.side_info.coefficient_coding import CodedCoefficients, CoefficientGrid, decode_detail, encode_detail
from codec.side_info.klt import InverseKLT, inverse_mdct, klt_basis, mdct_of_packet
from codec.side_info.parameter_coding import (
    _NONZERO_SHARE,
    SpatialParameters,
    decode_parameters,
    encode_parameters,
)
from codec.side_info.periodic_offset import without_periodic_offset
from codec.side_info.temporal_envelope import decode_envelope, encode_envelope, envelope_edges, impose_envelope
from render.hoa.scene import Scene


def number(data, at, size):
    return int.from_bytes(data[at : at + size], "little")


def read_by_the_document(data):
    """Header fields and, packet by packet, (side information, codes in file order)."""
    assert data[:5] == b"ARVQ\x0d"
    assert zlib.crc32(data[:52]) == number(data, 52, 4)
    flags, hop, channels, n, model_n, b = data[5], number(data, 6, 2), number(data, 20, 2), *data[22:25]
    low_delay = bool(flags & 4)
    frames = -(-number(data, len(data) - 16 if low_delay else 28, 8) // hop)
    count, at, packets = -(-frames // 16) if low_delay else max(1, frames // 256), 56, []
    for index in range(count):
        f = 256 if index < count - 1 else frames - 256 * (count - 1)
        f = 16 if low_delay else f
        whole = 5 * channels * (channels + 1) + 12 * channels + 48
        u = flags >> 3
        envelope = lambda f, u=u: u * f // 32 if data[40:48] == b"ambiX\0\0\0" else 0  # noqa: E731
        if low_delay:
            side_bytes = math.ceil(whole / 8) + envelope(f) + math.ceil(u * f / 2) if flags & 1 else 0
            usual_bytes = 4 * math.ceil(whole * 3 / 16) + envelope(256) + math.ceil(u * 256 / 2)
            side_bits = 8 * usual_bytes * f // 256
        else:
            side_bytes = math.ceil(whole * 3 / 16) * (flags & 1) * max(1, f // 64)
            side_bytes += envelope(f) + math.ceil(u * f / 2)
            side_bits = 8 * side_bytes
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


@pytest.mark.parametrize(("codebooks", "units"), [(2, 0), (4, 0), (4, 5)])
def test_the_document_suffices_for_low_delay(side_info_model, codebooks, units):
    samples = 0.1 * np.random.default_rng(0).standard_normal((4, 40 * 512 - 9)).astype(np.float32)
    file = io.BytesIO()
    header = low_delay_header(side_info_model, b"12345678", codebooks, coefficient_units=units)
    write_low_delay(file, side_info_model, header, [samples], "x")
    file.seek(0)
    ours = list(read_packets(file, read_header(file, "x"), "x"))
    for packet, (side_info, codes) in zip(ours, read_by_the_document(file.getvalue()), strict=True):
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


def detail_by_the_document(data, channels, slot_of_frame, edges):
    """Attacks, laws, number of the step size, components sent by slot and band, numbers of coefficients."""
    decide = adaptive_decisions_of(data)

    def fair(digits):
        number = 0
        for _ in range(digits):
            number = 2 * number + decide(None)
        return number

    attacks = [(fair(16), (fair(6), fair(6), fair(6))) for _ in range(fair(4))]
    slots, digits = max(slot_of_frame) + 1, len(f"{channels:b}")
    laws = np.zeros((slots, 12), int)
    for place in np.ndindex(slots, 12):
        high = decide(("law", 0), (4, 4))
        laws[place] = 2 * high + decide(("law", 1 + high), (4, 4))
    j = fair(7)
    if j == 127:
        return attacks, laws, j, None, None
    sent = [[min(fair(digits), channels) for _ in range(8)] for _ in range(slots)]
    numbers = {}
    for k, slot in enumerate(slot_of_frame):
        for band in range(8):
            for i in range(sent[slot][band]):
                for q in range(edges[band], edges[band + 1]):
                    a = lambda dk, dq: min(abs(numbers.get((i, k + dk, q + dq), 0)), 3)  # noqa: B023, E731
                    h = min(12, 2 * a(0, -1) + a(0, -2) + 2 * a(-1, 0) + a(-1, -1) + a(-1, 1))
                    b = min(3, sum(abs(numbers.get((earlier, k, q), 0)) for earlier in range(i)))
                    v = h + a(-2, 0) + 2 * b
                    if not decide(("flag", min(i, 3), v), (31 - v, 1 + v)):
                        continue
                    sign, magnitude = -1 if decide(None) else 1, 1
                    while magnitude <= 14 and decide(("more", h, magnitude), (4, 4)):
                        magnitude += 1
                    if magnitude == 15:
                        length = 0
                        while length < 15 and decide(None):
                            length += 1
                        magnitude = 14 + 2**length + fair(length)
                    numbers[i, k, q] = sign * magnitude
    return attacks, laws, j, sent, numbers


def test_the_document_suffices_for_the_coding_of_the_envelope():
    random = np.random.default_rng(6)
    loudness = 1 + random.laplace(0, 0.3, (40, 8)) + random.laplace(0, 0.5, (40, 1))
    loudness[7] = 40
    data = encode_envelope(loudness, 120)
    decide, numbers = adaptive_decisions_of(data), {}
    e = 0
    for _ in range(6):
        e = 2 * e + decide(None)
    assert e < 63
    for t, k in np.ndindex(40, 8):
        x = lambda dt, dk, least: min(abs(numbers.get((t + dt, k + dk), 0)), least)  # noqa: B023, E731
        h = min(12, 2 * x(-1, 0, 2) + x(-1, 1, 1) + x(-2, 0, 2) + 2 * x(0, -1, 2))
        if not decide(("flag", min(3, k), h), (31 - 2 * h, 1 + 2 * h)):
            continue
        sign, magnitude = -1 if decide(None) else 1, 1
        while magnitude <= 14 and decide(("more", min(2, h // 4), magnitude), (4, 4)):
            magnitude += 1
        if magnitude == 15:
            length, rest = 0, 0
            while length < 15 and decide(None):
                length += 1
            for _ in range(length):
                rest = 2 * rest + decide(None)
            magnitude = 14 + 2**length + rest
        numbers[t, k] = sign * magnitude
    assert max(map(abs, numbers.values())) > 14
    i = np.arange(8)
    expected = np.ones((40, 8))
    for (t, k), number_sent in numbers.items():
        cosine = 0.5 * np.cos(np.pi * k * (2 * i + 1) / 16) if k else np.full(8, np.sqrt(1 / 8))
        expected[t] += 0.015 * 2 ** (e / 8) * cosine * number_sent
    np.testing.assert_allclose(decode_envelope(data, 40, 8), expected, atol=1e-9)


def test_the_document_suffices_for_the_slopes_of_bands():
    random = np.random.default_rng(8)
    edges, slot_of = edges_by_the_document(44_100), [0, 0, 0, 1, 1, 1, 1]
    y = (random.standard_normal((2, 8, 1024)) * np.exp(random.normal(0, 1, (2, 1, 1024)))).astype(np.float32)
    y[1, :, 700:] = 0
    levels_db = random.uniform(-60, -40, (2, 24, 2))
    middles = [(e + after - 1) / 2 for e, after in pairwise(edges.tolist())]
    expected = y.astype(float)
    for channel, slot in np.ndindex(2, 2):
        frames = [k + 1 for k in range(7) if slot_of[k] == slot]
        p = np.square(y[channel, frames].astype(float)).mean(0)
        d = {}
        for q in range(edges[16], 1024):
            smooth = sum((5 - abs(n)) * p[min(q + n, 1023)] for n in range(-4, 5)) / 25
            d[q] = np.interp(q, middles, levels_db[channel, :, slot]) - 10 * np.log10(1e-20 + smooth)
        for band in range(16, 24):
            inside = range(edges[band], min(edges[band + 1], 1024))
            power = sum(p[q] + 1e-20 for q in inside)
            d_b = 10 * np.log10(sum(10 ** (d[q] / 10) * (p[q] + 1e-20) for q in inside) / power)
            for q in inside:
                gain = 10 ** (min(max(d[q] - d_b, -9), 9) / 20)
                expected[channel, [0, *frames] if slot == 0 else frames, q] *= gain
    found = y.copy()
    set_slopes(found, levels_db, np.array(slot_of), edges)
    assert np.abs(expected - y).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_the_document_suffices_for_the_envelope_of_the_channels():
    random = np.random.default_rng(7)
    length, n = 24 * 256 + 100, np.arange(512)
    x = (random.standard_normal((2, length)) * np.exp(random.normal(0, 1, length))).astype(np.float32)
    x[1, 2000:3000] = 0
    sent = 1 + random.uniform(-1.1, 2, (23, 8))
    edges = np.round(edges_by_the_document(44_100)[16:] / 4).astype(int)
    edges[-1] = 257
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * n / 512))
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 18) / 18)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(257), n) / 512)
    expected = x.astype(float)
    for channel in range(2):
        spectra = [dft @ (window * x[channel, 256 * t : 256 * t + 512]) for t in range(23)]
        gains = np.ones((23, 257))
        for band in range(8):
            bins = slice(edges[band], edges[band + 1])
            loudness = [(np.square(np.abs(of[bins]) / 512).mean() + 1e-16) ** 0.3 for of in spectra]
            for t in range(23):
                around = [loudness[min(max(t + m - 9, 0), 22)] for m in range(1, 18)]
                u = loudness[t] * weights.sum() / (weights @ around)
                d = 100 / 3 * np.log10(max(sent[t, band], 10**-0.45)) - 100 / 6 * np.log10(u)
                gains[t, bins] = 10 ** (min(max(d, -15), 15) / 20)
        for t in range(23):
            part = (gains[t] - 1) * spectra[t]
            twice = np.where(np.isin(np.arange(257), (0, 256)), 1, 2)  # bins 1 to 255 also stand for their mirrors
            added = (np.conj(dft) * (twice * part)[:, None]).sum(0).real / 512
            expected[channel, 256 * t : 256 * t + 512] += window * added
    found = impose_envelope(x, sent, envelope_edges(44_100))
    assert np.abs(expected - x).max() > 1
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_document_suffices_for_attacks_and_coefficients():
    random = np.random.default_rng(3)
    channels, slot_of_frame, edges = 3, [0, 0, 0, 1, 1], np.array([2, 8, 16, 27, 43, 67, 100, 147, 215])
    power, gain = 10.0 ** -random.uniform(0, 4, (2, 12, channels)), random.uniform(0.1, 9, (2, 12))
    power = -np.sort(-power, axis=2)
    coefficients = random.laplace(0, 1, (channels, 5, 1024)).astype(np.float32)
    coefficients[0, 2, 60] = 4000
    for slot, band in np.ndindex(2, 8):
        frames, bins = np.equal(slot_of_frame, slot), slice(edges[band], edges[band + 1])
        coefficients[:, frames, bins] *= (np.sqrt(power[slot, band]) * gain[slot, band])[:, None, None]
    attacks = [Attack(1, (2, 3, 63)), Attack(60_000, (0, 1, 2))]
    grid = CoefficientGrid(np.array(slot_of_frame), edges)
    sent_laws = random.integers(0, 4, (2, 12))
    data, _ = encode_detail(attacks, sent_laws, coefficients, power, gain, grid, 500)
    found, laws, j, sent, numbers = detail_by_the_document(data, channels, slot_of_frame, edges)
    assert found == [tuple(attack) for attack in attacks]
    assert max(map(abs, numbers.values())) > 100
    ours_attacks, limited, ours = decode_detail(data, power, gain, grid)
    assert ours_attacks == attacks
    assert laws.tolist() == sent_laws.tolist()
    for slot, band, i in np.ndindex(*power.shape):
        w, law = power[slot, band, i], laws[slot, band]
        largest = power[slot, band].max()
        by_law = (w, w**2 / (w + 0.03 * largest), w * (w >= 0.03 * largest), w * (w >= 0.1 * largest))
        assert limited[slot, band, i] == pytest.approx(by_law[law], rel=1e-9)
    assert ours.counts.tolist() == sent
    expected = np.zeros_like(ours.values)
    for (i, k, q), x in numbers.items():
        slot, band = slot_of_frame[k], np.searchsorted(edges, q, "right") - 1
        total = power[slot, band].sum()
        expected[i, k, q - 2] = x * gain[slot, band] * 0.01 * 2 ** (j / 12) * total**0.3
    np.testing.assert_allclose(ours.values, expected, rtol=1e-6)


def test_the_document_suffices_for_the_offset_and_for_attacks():
    random = np.random.default_rng(4)
    y = random.standard_normal((2, 80 * 64)).astype(np.float32)
    expected = y.astype(float)
    for period in range(80):
        mean, weights = np.zeros((2, 64)), 0.0
        for n in range(1, 66):
            at = period + n - 33
            if 0 <= at < 80:
                w = 0.5 - 0.5 * np.cos(2 * np.pi * n / 66)
                mean, weights = mean + w * y[:, 64 * at : 64 * at + 64], weights + w
        lines = np.fft.fft(mean / weights)
        lines[:, [0, 1, 63]] = 0
        expected[:, 64 * period : 64 * period + 64] -= np.fft.ifft(lines).real
    np.testing.assert_allclose(without_periodic_offset(y, 0, 80 * 64, 64), expected, atol=1e-5)

    gains = np.ones(80)
    for block in range(80):
        e = np.square(y[:, 64 * block : 64 * block + 64].astype(float)).mean()
        for t, levels in ((50, (1, 5, 63)), (62, (2, 2, 4))):
            for level, first, last in zip(levels, (36, 18, 7), (19, 8, 1), strict=True):
                if t - first <= block <= t - last:
                    gains[block] = min(gains[block], 0 if level == 63 else np.sqrt(10 ** (-0.3 * level) / e))
    expected = np.empty_like(y)
    for n in range(80 * 64):
        block, place = n // 64, (n % 64 + 0.5) / 64
        other = max(block - 1, 0) if place < 0.5 else min(block + 1, 79)
        apart = (place < 0.5 and block in (50, 62)) or (place > 0.5 and block in (49, 61))
        gain = gains[block] if apart else gains[block] + abs(place - 0.5) * (gains[other] - gains[block])
        expected[:, n] = y[:, n] * gain
    ours = y.copy()
    attenuate_before(ours, [Attack(50, (1, 5, 63)), Attack(62, (2, 2, 4))])
    np.testing.assert_allclose(ours, expected, atol=1e-6)


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
    """Two packets of three channels, the transform by sums over cosines instead of fast transforms.

    Of one component in some slots and bands, and of its last frame in the next packet, coefficients are sent.
    """
    hop, rate, channels = 64, 44_100, 3
    random = np.random.default_rng(5)
    lengths = [256 * hop, 300 * hop]
    transform, ours, before = InverseKLT(hop, rate), [], None
    y = (0.03 * random.standard_normal((channels, sum(lengths)))).astype(np.float32)
    theirs: list = []
    noisy: list = []
    start, last_sent = 0, None
    for length in lengths:
        level_slots, slots = length // hop // 8, length // hop // 64
        sent = SpatialParameters(
            np.ones(channels, bool),
            random.uniform(-80, -40, (channels, 24, level_slots)),
            random.uniform(-0.3, 0.3, (3, 12, slots)),
        )
        a, e = max(0, start - 1024), start + length + 1024
        axes, seed = klt_basis(sent, channels, length, hop, rate), 3_000_000_000 + length
        spectrum = mdct_of_packet(y[:, a:e], start - a, length)
        count_sent = random.integers(0, 2, (slots, 8))
        sent_values = 0.05 * random.standard_normal((channels, spectrum.shape[1] - 1, 213)).astype(np.float32)
        # in places that change from frame to frame, and above band 4 half of them in places that stay
        sent_values[random.random(sent_values.shape) < 0.8] = 0
        sent_values[:, :, 65:][:, :, random.random(148) < 0.1] = 0.04
        coded = CodedCoefficients(sent_values, count_sent)
        ours.append(inverse_mdct(transform.transformed(spectrum, axes, seed, coded))[:, :length])
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
        count = -(-length // 1024) + 1
        slot_of = [min((1024 * k - 1) // (64 * hop), slots - 1) for k in range(1, count)]
        centres = 1024 * np.arange(1, count)
        coefficients = np.stack([padded[:, start + c : start + c + 2048] @ basis.T for c in (0, *centres)])
        if last_sent is not None:
            coefficients[0][0, last_sent[0]] = last_sent[1]
        for k, (slot, values) in enumerate(zip(slot_of, sent_values[0], strict=True)):
            is_sent = np.flatnonzero(np.isin(band_of, [b for b in range(8) if count_sent[slot, b]]) & (q >= 2))
            coefficients[k + 1][0, is_sent] = values[is_sent - 2]
            last_sent = is_sent, values[is_sent - 2]
        wide = np.bincount(band_of[2:], minlength=12)
        total = powers.sum(2)
        level = ((total * wide).sum(1) / 1024)[:, None]
        spectrum = 10 ** (np.array([18, 13.5, 11.5, 9, 5.5, -1, -6, -12, -18, -24, -28.5, -31.5]) / 10)
        gain = np.sqrt(0.01 / level * np.sqrt(spectrum * level / total)).clip(10**-1.5, 100)
        used = []  # of each slot: G, √m, mean, d of each band, and the matrix of each band after them
        for slot in range(slots):
            chosen, of_slot = np.array(slot_of) == slot, []
            for band in range(12):
                part = np.flatnonzero((band_of == band) & (q >= 2))
                p = np.square(coefficients[1:][chosen][:, :, part]).mean((0, 2))
                w = powers[slot, band] * gain[slot, band] ** 2
                is_sent = band < 8 and count_sent[slot, band] == 1
                most, d, share = np.full(channels, 10 ** (9 / 20)), 0.6, np.ones(channels)
                if is_sent:
                    values = sent_values[0, chosen][:, part - 2]
                    t = noisiness_by_the_document(values) if band >= 2 else 0
                    noisy.append(t)
                    most[0], d = 10 ** (3 * (1 - t) / 20), max(0.09, t)
                    share[0] = 0.7 / (values == 0).mean()
                g = np.minimum(most, np.sqrt(w / p))
                m = np.maximum(0, w - g**2 * p) * share
                back = v[slot, band] / gain[slot, band]
                if band == 0:
                    low[slot] = back * np.minimum(1, g)
                rule = part, g, np.sqrt(m), p.mean(), d, is_sent
                z = [filled_by_the_document(coefficients[k], *rule, seed, k) for k in 1 + np.flatnonzero(chosen)]
                z = np.concatenate(z, 1)
                of_slot.append(
                    (*rule, back @ matrix_by_the_document(z @ z.T / z.shape[1], w, np.minimum(1, p / w)))
                )
            used.append((low[slot], of_slot))
        frames_out = np.zeros((channels, length + 4096))
        for k in range(count):
            below, of_slot = (before or used[0]) if k == 0 else used[slot_of[k - 1]]
            back = np.zeros((channels, 1024))
            back[:, :2] = below @ coefficients[k][:, :2]
            for *rule, matrix in of_slot:
                back[:, rule[0]] = matrix @ filled_by_the_document(coefficients[k], *rule, seed, k)
            frames_out[:, 1024 * k : 1024 * k + 2048] += back @ basis
        theirs.append(frames_out[:, 1024 : 1024 + length])
        before = used[-1]
        start += length
    assert min(noisy) == 0
    assert max(noisy) == 1
    assert np.mean([0.05 < t < 0.95 for t in noisy]) > 0.05
    # the last frames of both reach behind the end differently where it is no multiple of 1024
    expected = np.concatenate(theirs, 1)[:, :-2048]
    np.testing.assert_allclose(np.concatenate(ours, 1)[:, :-2048], expected, atol=2e-6 * np.abs(expected).max())


def noisiness_by_the_document(values):
    """t of the coefficients of one component in the frames of a slot."""
    a = e = n = 0.0
    half = -(-values.shape[1] // 2)
    for part in (values[:, :half], values[:, half:]):
        frames, places = part.shape
        for first, second in [(k, k + 1) for k in range(frames - 1)] + [(k + 1, k) for k in range(frames - 1)]:
            occupied = [any(part[second, max(q - 1, 0) : q + 2]) for q in range(places)]
            for q in np.flatnonzero(part[first]):
                n, a, e = n + 1, a + occupied[q], e + sum(occupied) / places
    return min(1, max(0, 1 - (a - e) / (0.3 * (n - e + 8))))


def filled_by_the_document(frame, part, g, root_m, p, d, is_sent, seed, k):
    """G Y + N of frame k in the coefficients of a band; those of component 0 may be sent."""
    y = frame[:, part]
    noise = root_m[:, None] * signs_by_the_document(seed, len(frame), k, part)
    noise *= min(6, np.sqrt(d + (1 - d) * np.square(y).mean() / p))
    if is_sent:
        noise[0, y[0] != 0] = 0
    return g[:, None] * y + noise


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
