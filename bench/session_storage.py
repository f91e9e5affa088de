"""What the storage of a listening test costs, and that a killed server loses nothing.

Times: 50 listeners send events, each from a thread of its own, and wait until each is acknowledged: ten a second,
which is the most that a dragged slider makes, and as fast as they can. Every event has its own transaction
(`ListeningTest.append`), or what waits is joined by one writer as the server does it (`append_many`).

Kills: a process stores events and prints the number of each acknowledged one; it is killed (SIGKILL) at random
moments, and the next process must find every acknowledged event, in order and without a gap.
"""

from __future__ import annotations

import hashlib
import json
import queue
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from listening.sessions.listening_test import ListeningTest
from listening.sessions.outcomes import Stored
from listening.test_design.presentation_orders import orders
from render.common.cli import parser

ROOT = Path(__file__).parents[1]
LISTENERS = 50

WRITER = """
import sys
from pathlib import Path
from listening.sessions.listening_test import ListeningTest
test = ListeningTest.open(Path(sys.argv[1]), Path(sys.argv[2]))
name = "L01" if test.overview() else test.add_listener()
stored = test.open_window(name, "w", True).stored
print("ready", flush=True)
while True:
    event = {"seq": stored + 1, "at_ms": stored, "type": "language", "page": 0, "language": "en"}
    stored = test.append(name, "w", [event]).stored
    print(stored, flush=True)
"""


def write_package(folder: Path) -> Path:
    """A package of one item and two stimuli of noise."""
    names = {"Beach": ["1a1a1a1a", "2b2b2b2b"]}
    (folder / "audio/Beach").mkdir(parents=True)
    digests = {}
    for name in ("reference", *names["Beach"]):
        path = folder / f"audio/Beach/{name}.wav"
        soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, (4800, 2)), 48_000, "PCM_24")
        digests[path.name] = hashlib.sha256(f"Beach/{path.name}\0".encode() + path.read_bytes()).hexdigest()
    item = {
        "id": "Beach", "frames": 4800, "reference": "audio/Beach/reference.wav", "digests": digests,
        "stimuli": {name: f"audio/Beach/{name}.wav" for name in names["Beach"]},
    }  # fmt: skip
    channels = [{"label": label} for label in ("M+030", "M-030")]
    session = {
        "title": "Synthetic noise", "training": {"items": []}, "signals": [], "items": [item],
        "layout": {"name": "0+2+0", "channel_order": "bs2051", "channels": channels},
        "audio": {"sample_rate_hz": 48_000}, "orders": orders(8, names, b"secret", 1),
    }  # fmt: skip
    (folder / "session.json").write_text(json.dumps(session))
    return folder


def event(seq: int) -> dict[str, object]:
    """Some event of the first page."""
    return {"seq": seq, "at_ms": seq, "type": "language", "page": 0, "language": "en"}


def measured(test: ListeningTest, names: list[str], appends: int, joined: bool, every_s: float) -> list[float]:
    """Milliseconds that each event waited for its acknowledgement."""
    waiting: queue.Queue = queue.Queue()
    times: list[float] = []

    def writer() -> None:
        """Join what waits into one transaction, and tell everyone."""
        while (first := waiting.get()) is not None:
            batch = [first]
            while not waiting.empty() and (more := waiting.get()) is not None:
                batch.append(more)
            for (_, told), outcome in zip(batch, test.append_many([one for one, _ in batch]), strict=True):
                told.put(outcome)

    def rate(name: str) -> None:
        told: queue.Queue = queue.Queue()
        first = test.open_window(name, "w").stored + 1  # type: ignore[union-attr]
        due = time.perf_counter() + random.uniform(0, every_s)
        for seq in range(first, first + appends // len(names)):
            time.sleep(max(0.0, due - time.perf_counter()))
            due += every_s
            start = time.perf_counter()
            if joined:
                waiting.put(((name, "w", [event(seq)]), told))
                outcome = told.get()
            else:
                outcome = test.append(name, "w", [event(seq)])
            times.append(1000 * (time.perf_counter() - start))
            assert outcome == Stored(seq), outcome

    thread = threading.Thread(target=writer)
    thread.start()
    raters = [threading.Thread(target=rate, args=(name,)) for name in names]
    for one in raters:
        one.start()
    for one in raters:
        one.join()
    waiting.put(None)
    thread.join()
    return times


def kill(package: Path, database: Path, seconds: float) -> int | None:
    """Last event that a process acknowledged before it was killed; None if it acknowledged none."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, package, database], cwd=ROOT, stdout=subprocess.PIPE,
                               text=True)  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    return int(lines[-1]) if lines else None


def main() -> None:
    """Measure the times, then kill."""
    arguments = parser(__doc__, "bench.session_storage")
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--appends", type=int, default=5000)
    arguments.add_argument("--folder", type=Path, help="on the disk to be measured (default: that of /tmp)")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        package = write_package(folder / "package")
        test = ListeningTest.open(package, folder / "times.sqlite")
        names = [test.add_listener() for _ in range(LISTENERS)]
        for every_s, how in ((0.1, "ten a second"), (0.0, "as fast as they can")):
            for joined, what in ((False, "one transaction each"), (True, "joined by one writer")):
                start = time.perf_counter()
                times = measured(test, names, given.appends, joined, every_s)
                rate = len(times) / (time.perf_counter() - start)
                p50, p99 = np.percentile(times, [50, 99])
                print(
                    f"{LISTENERS} listeners, {how}, {what}: {len(times)} events, {rate:.0f}/s, "
                    f"median {p50:.1f} ms, 99 % {p99:.1f} ms, longest {max(times):.1f} ms",
                    flush=True,
                )
        test.close()
        database, moment, lost, unsent = folder / "kills.sqlite", random.Random(1), 0, 0
        for _ in range(given.kills):
            acknowledged = kill(package, database, moment.uniform(0, 0.15))
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                numbers = [seq for (seq,) in connection.execute("SELECT seq FROM event ORDER BY id")]
            connection.close()
            assert numbers == list(range(1, len(numbers) + 1)), "a gap or a wrong order"
            lost += max(0, (acknowledged or 0) - len(numbers))
            unsent += acknowledged is not None and len(numbers) > acknowledged
        print(f"{given.kills} kills: {lost} acknowledged events lost of {len(numbers)}; "
              f"{unsent} times the last event was stored, but not yet acknowledged")  # fmt: skip


if __name__ == "__main__":
    main()
