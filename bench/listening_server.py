"""Load the listening test's server with many listeners at once, or kill it again and again.

    python bench/listening_server.py [--listeners 50] [--seconds 60] [--package DIR]
    python bench/listening_server.py --kills 200

The server runs in a process of its own. Every listener moves a slider ten times a second for one second of
three, switches stimuli, polls every five seconds, and loads the files of a trial every `--trial` seconds, by
default those of a stereo package of noise, 10 s an item. Printed are the times from the sending of an event to the
answer, which comes after the commit to the disk; the rate of the downloads; the server's memory; and, before the
load, the time to the first byte of each file of a trial, the hidden reference's among them. `--long 1800` prints
the memory after downloads of items of half an hour.

With `--kills` the server is killed with SIGKILL at random moments while four listeners send events, and started
again. After each start, and at the end in the database, every event that was acknowledged must be there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
CONDITIONS = ("href", "la", "opus", "prop")


def write_package(folder: Path, items: int = 4, seconds: float = 10.0) -> dict:
    """Write a stereo package of noise; return its key, item -> blind name -> condition."""
    noise = np.random.default_rng(1)
    entries, key, frames = [], {}, round(48000 * seconds)
    for number in range(items):
        item = f"noise{number}"
        key[item] = {hashlib.sha256(f"{item} {c}".encode()).hexdigest()[:8]: c for c in CONDITIONS}
        (folder / "audio" / item).mkdir(parents=True)
        digests = {}
        for name in ("reference", *key[item]):
            path = folder / "audio" / item / f"{name}.wav"
            soundfile.write(path, noise.normal(0, 0.1, (frames, 2)), 48000, "PCM_24")
            digests[path.name] = hashlib.sha256(f"{item}/{path.name}\0".encode() + path.read_bytes()).hexdigest()
        stimuli = {name: f"audio/{item}/{name}.wav" for name in key[item]}
        entries.append(
            {"id": item, "material": "noise", "frames": frames, "loudness_gated": True, "digests": digests,
             "reference": f"audio/{item}/reference.wav", "stimuli": stimuli}
        )  # fmt: skip
    order = {"listener": "L01", "items": list(key), "stimuli": {item: list(names) for item, names in key.items()}}
    ears = [
        {"label": f"M{a:+04}", "azimuth_deg": float(a), "elevation_deg": 0.0, "is_lfe": False} for a in (30, -30)
    ]
    session = {
        "title": "noise", "instruction": "", "training": {"instruction": "", "items": []}, "scale": {},
        "layout": {"name": "0+2+0", "channel_order": "bs2051", "channels": ears},
        "audio": {"sample_rate_hz": 48000, "format": "24-bit WAV"}, "signals": [], "target_lufs": -26.0,
        "items": entries, "orders": [order],
    }  # fmt: skip
    (folder / "session.json").write_text(json.dumps(session))
    return key


class Server:
    """The server's process."""

    def __init__(self, package: Path, results: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "listening.serve", "--package", package, "--results", results, "--port", "0"],
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdout
        lines = [self.process.stdout.readline() for _ in range(4)]
        self.desk = urlsplit(lines[1].split()[1])

    def memory_mb(self, what: str) -> float:
        """Resident memory now (VmRSS) or at most (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(what)) / 1024

    def kill(self) -> None:
        """End it without notice."""
        self.process.kill()
        self.process.communicate()


class Client:
    """One connection that is kept; HTTP/1.1 by hand, which costs little of the cores that the server needs."""

    def __init__(self, port: int):
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: object = None, headers: str = "") -> tuple[int, bytes]:
        """Status and body of an answer; ConnectionError if there is none."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
        self._writer.write(head.encode() + content)
        try:
            answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            left = int(answer.split("content-length: ")[1].split("\r\n")[0])
            parts = []
            while left:
                parts.append(await self._reader.readexactly(min(left, 1 << 18)))
                left -= len(parts[-1])
                parts = parts[-1:] if left > 1 << 20 else parts  # sound is not kept
        except (asyncio.IncompleteReadError, IndexError) as error:
            raise ConnectionError(str(error)) from error
        return int(answer.split()[1]), b"".join(parts)

    async def json(self, method: str, path: str, body: object = None) -> dict:
        """Answer of status 200 as JSON."""
        status, content = await self.ask(method, path, body)
        assert status == 200, (status, content)
        return json.loads(content)

    def close(self) -> None:
        """Close the connection."""
        if self._writer:
            self._writer.close()


async def links(server: Server, count: int) -> list[str]:
    """Paths of `count` listeners, added where there are fewer."""
    client = Client(server.desk.port or 80)
    have = await client.json("GET", server.desk.path + "api/overview")
    for _ in range(count - len(have)):
        await client.json("POST", server.desk.path + "api/listeners", {})
    rows = await client.json("GET", server.desk.path + "api/overview")
    client.close()
    return [urlsplit(row["link"]).path for row in rows][:count]


class Listener:
    """One listener: a window, events in order, and the time that each needed."""

    def __init__(self, port: int, link: str):
        self.client, self.sound, self.link = Client(port), Client(port), link
        self.seq, self.times_s, self.loaded_bytes = 0, [], 0

    async def send(self, *events: dict) -> None:
        """Send events as one request; note how long the answer took."""
        numbered = []
        for event in events:
            self.seq += 1
            numbered.append({"seq": self.seq, "at_ms": time.time_ns() // 1_000_000, **event})
        begin = time.perf_counter()
        path = self.link + "api/events"
        answer = await self.client.json("POST", path, {"window": "w", "events": numbered})
        self.times_s.append(time.perf_counter() - begin)
        assert answer == {"stored": self.seq}

    async def to_first_trial(self) -> None:
        """Open the window and go through the pages up to the first trial."""
        await self.client.json("POST", self.link + "api/open", {"window": "w", "take_over": True})
        self.session = await self.client.json("GET", self.link + "api/session")
        pages = self.session["pages"]
        self.trial = next(number for number, page in enumerate(pages) if page["kind"] == "trial")
        does = {
            "consent": {"type": "consent", "given": True},
            "device": {"type": "device", "transducer": "loudspeakers"},
            "channels": {"type": "confirm", "what": "channels"},
        }
        for number, page in enumerate(pages[: self.trial]):
            own = [does[page["kind"]]] if page["kind"] in does else []
            await self.send(*({**one, "page": number} for one in [*own, {"type": "done"}]))
        self.times_s.clear()

    async def rate(self, end: float) -> None:
        """Switch and move sliders until a time."""
        chance = random.Random(self.link)
        slots = len(self.session["pages"][self.trial]["stimuli"])
        await asyncio.sleep(chance.uniform(0, 3))
        while time.monotonic() < end:
            slot = chance.randint(1, slots)
            await self.send({"type": "play", "slot": slot, "position": 0, "page": self.trial})
            for score in range(10):
                began = time.monotonic()
                await self.send({"type": "rate", "slot": slot, "score": 10.0 * score, "page": self.trial})
                await asyncio.sleep(max(0, began + 0.1 - time.monotonic()))
            await asyncio.sleep(chance.uniform(1.5, 2.5))

    async def poll(self, end: float) -> None:
        """Ask every five seconds whether the test is paused."""
        client = Client(self.client._port)
        while time.monotonic() < end:
            await client.json("GET", self.link + "api/poll?window=w")
            await asyncio.sleep(5)
        client.close()

    async def load(self, end: float, trial_s: float) -> None:
        """Load the files of a trial now and then."""
        page = self.session["pages"][self.trial]
        at = time.monotonic() + random.Random(self.link).uniform(0, trial_s)
        while at < end:
            await asyncio.sleep(max(0, at - time.monotonic()))
            at += trial_s
            for identity in (page["reference"], *page["stimuli"]):
                status, _ = await self.sound.ask("GET", f"{self.link}audio/{identity}")
                assert status == 200
                self.loaded_bytes += page["frames"] * self.session["audio"]["channels"] * 3


def ms(times_s: list[float], share: float) -> float:
    """Quantile in milliseconds."""
    return 1000 * float(np.quantile(times_s, share))


async def load(server: Server, given: argparse.Namespace) -> None:
    """Many listeners at once."""
    port = server.desk.port or 80
    listeners = [Listener(port, link) for link in await links(server, given.listeners)]
    for listener in listeners:
        await listener.to_first_trial()
    await first_bytes(listeners[0])
    before, begin = server.memory_mb("VmRSS"), time.monotonic()
    end = begin + given.seconds
    await asyncio.gather(
        *(task for one in listeners for task in (one.rate(end), one.poll(end), one.load(end, given.trial)))
    )
    seconds = time.monotonic() - begin
    times = [t for one in listeners for t in one.times_s]
    loaded = sum(one.loaded_bytes for one in listeners)
    print(
        f"{len(listeners)} listeners, {seconds:.0f} s: {len(times)} events stored, {len(times) / seconds:.0f} a "
        f"second, each after p50 {ms(times, 0.5):.1f}, p99 {ms(times, 0.99):.1f}, at most {ms(times, 1):.1f} ms; "
        f"{loaded / 1e6 / seconds:.1f} MB/s of sound"
    )
    print(f"memory: {before:.0f} MB before, {server.memory_mb('VmRSS'):.0f} MB after, at most "
          f"{server.memory_mb('VmHWM'):.0f} MB")  # fmt: skip
    for one in listeners:
        one.client.close()
        one.sound.close()


async def first_bytes(listener: Listener, rounds: int = 200) -> None:
    """Time to the first byte for every file of a trial, in turn; the first slot is whatever the order says."""
    page = listener.session["pages"][listener.trial]
    times: dict[str, list[float]] = {identity: [] for identity in page["stimuli"]}
    for _ in range(rounds):
        for identity in random.sample(page["stimuli"], len(page["stimuli"])):
            begin = time.perf_counter()
            await listener.sound.ask("GET", f"{listener.link}audio/{identity}", headers="Range: bytes=0-0\r\n")
            times[identity].append(time.perf_counter() - begin)
    row = ", ".join(f"{1000 * statistics.median(own):.3f} ± {1000 * mad(own):.3f}" for own in times.values())
    print(f"first byte of each stimulus of a trial, median ± median deviation in ms: {row}")


def mad(values: list[float]) -> float:
    """Median absolute deviation."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


async def kill_often(package: Path, results: Path, kills: int) -> None:
    """Kill the server while four listeners send events; count acknowledged events that are missing."""
    chance, acknowledged, sent, missing = random.Random(1), [0] * 4, [0] * 4, 0

    async def send_always(server: Server, link: str, number: int) -> None:
        client = Client(server.desk.port or 80)
        with contextlib.suppress(ConnectionError):
            answer = await client.json("POST", link + "api/open", {"window": "w", "take_over": True})
            nonlocal missing
            missing += max(0, acknowledged[number] - answer["stored"])
            seq = answer["stored"]
            while True:
                count = chance.randint(1, 3)
                events = [{"seq": seq + k, "at_ms": seq, "type": "page", "page": 0} for k in range(1, count + 1)]
                sent[number] = seq + count
                answer = await client.json("POST", link + "api/events", {"window": "w", "events": events})
                seq = acknowledged[number] = answer["stored"]
        client.close()

    for done in range(1, kills + 1):
        server = Server(package, results)
        paths = await links(server, 4)
        tasks = [asyncio.create_task(send_always(server, path, number)) for number, path in enumerate(paths)]
        await asyncio.sleep(chance.uniform(0, 0.5))
        server.process.kill()
        await asyncio.gather(*tasks)
        server.process.communicate()
        if done % 20 == 0:
            print(f"{done} kills, {sum(acknowledged)} events acknowledged, {missing} of them missing", flush=True)
    with contextlib.closing(sqlite3.connect(results)) as database:
        rows = database.execute("SELECT listener, seq FROM event ORDER BY id").fetchall()
        [(whole,)] = database.execute("PRAGMA integrity_check").fetchall()
    assert whole == "ok"
    for number in range(4):
        seqs = [seq for listener, seq in rows if listener == f"L{number + 1:02d}"]
        assert seqs == list(range(1, len(seqs) + 1)), "a gap, or an event twice"
        assert acknowledged[number] <= len(seqs) <= sent[number]
    print(f"{kills} kills: {sum(acknowledged)} events acknowledged, {missing} of them missing, {len(rows)} stored")
    if missing:
        sys.exit(1)


async def long_file(server: Server, seconds: float) -> None:
    """Memory after downloads of a long file."""
    [link] = await links(server, 1)
    listener = Listener(server.desk.port or 80, link)
    session = await listener.client.json("GET", link + "api/session")
    page = next(page for page in session["pages"] if page["kind"] == "trial")
    before = server.memory_mb("VmRSS")
    for identity in page["stimuli"][:2]:
        assert (await listener.sound.ask("GET", f"{link}audio/{identity}"))[0] == 200
    print(f"memory: {before:.0f} MB before, {server.memory_mb('VmRSS'):.0f} MB after downloads of two files of "
          f"{seconds * 48000 * 6 / 1e6:.0f} MB")  # fmt: skip


def main() -> None:
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--listeners", type=int, default=50)
    command.add_argument("--seconds", type=float, default=60.0)
    command.add_argument("--trial", type=float, default=60.0, metavar="SECONDS", help="between two trials' files")
    command.add_argument("--package", type=Path, metavar="DIR", help="default: noise")
    command.add_argument(
        "--long", type=float, default=0.0, metavar="SECONDS", help="memory with items of this length"
    )
    command.add_argument("--kills", type=int, default=0, help="kill the server so often instead")
    given = command.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = given.package or Path(folder, "package")
        if given.package is None:
            seconds = 0.6 if given.kills else given.long or 10.0
            write_package(package, 1 if given.kills or given.long else 4, seconds)
        results = Path(folder, "results.sqlite")
        if given.kills:
            asyncio.run(kill_often(package, results, given.kills))
            return
        server = Server(package, results)
        try:
            asyncio.run(long_file(server, given.long) if given.long else load(server, given))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
