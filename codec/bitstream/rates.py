"""The bit rates that a stream can have: one for each number of codebooks, fewer where side information is."""

from __future__ import annotations

from dataclasses import replace

from codec.bitstream.format import Header, packet_bytes
from codec.bitstream.sizes import CODEBOOKS_KEPT
from render.common.errors import InputError


def kbps_of(header: Header) -> float:
    """Bit rate of a whole file in kbit/s, headers included; the largest possible one if it is range-coded.

    Of a stream that has not ended it is that of its packets.
    """
    if not header.length:
        packet_s = header.framing.packet_frames * header.hop / header.sample_rate_hz
        return 8 * packet_bytes(header) / packet_s / 1000
    return 8 * header.max_bytes / (header.length / header.sample_rate_hz) / 1000


def reachable_kbps(header: Header) -> dict[int, float]:
    """Bit rate in kbit/s for every number of codebooks from 1 to that of the stream."""
    return {n: kbps_of(replace(header, codebooks=n)) for n in range(1, header.codebooks + 1)}


def codebooks_within(header: Header, kbps: float, where: str) -> int:
    """Largest number of codebooks whose rate is at most `kbps`.

    Raises
    ------
    InputError
        If one codebook is too much already; the message lists the rates that can be reached.
    """
    fitting = [n for n, rate in reachable_kbps(header).items() if rate <= kbps]
    if not fitting:
        raise InputError(f"{where}: no rate up to {kbps:g} kbit/s can be reached; there are {rates_text(header)}")
    return max(fitting)


def within_rate(header: Header, kbps: float, where: str) -> Header:
    """Header of a stream that is to be encoded, with as many codebooks as the rate allows.

    The coefficients get what two codebooks leave, at most what `header` gives them.

    Raises
    ------
    InputError
        If no rate up to `kbps` can be reached; the message lists those that can.
    """
    fewest = replace(header, codebooks=min(CODEBOOKS_KEPT, header.codebooks))
    sizes = range(header.coefficient_units, 0, -1)
    units = next((n for n in sizes if kbps_of(replace(fewest, coefficient_units=n)) <= kbps), 0)
    header = replace(header, coefficient_units=units)
    return replace(header, codebooks=codebooks_within(header, kbps, where))


def rates_text(header: Header) -> str:
    """The rates that can be reached, as ``5.17 (1 codebook), 6.03 (2), 15.52 (13 to 18) kbit/s``."""
    groups: dict[str, list[int]] = {}
    for n, rate in reachable_kbps(header).items():
        groups.setdefault(f"{rate:.2f}", []).append(n)
    texts = [
        f"{rate} ({numbers[0]}{f' to {numbers[-1]}' if len(numbers) > 1 else ''})"
        for rate, numbers in groups.items()
    ]
    return f"{', '.join(texts)} kbit/s (codebooks)"


def replaced_codebooks(header: Header) -> range:
    """Codebooks of the model, counted from 1, that are absent, all or in part, from its packets of full length."""
    full = replace(header, codebooks=header.model_codebooks)
    frames = header.framing.packet_frames
    absent = -(-full.absent_codes(frames) // frames)
    return range(header.model_codebooks - absent + 1, header.model_codebooks + 1)


def replaced_text(header: Header) -> str:
    """What takes the place of the last codebooks, in words; empty where nothing does."""
    replaced = replaced_codebooks(header)
    if not replaced:
        return ""
    named = f"codebooks {replaced[0]} to {replaced[-1]}" if len(replaced) > 1 else f"codebook {replaced[0]}"
    return f"side information takes the place of {named} of the model's {header.model_codebooks}"
