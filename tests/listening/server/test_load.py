"""A small load and a few kills by bench/listening_server.py, without limits of time: nothing is lost."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def bench(*arguments):
    answer = subprocess.run(
        [sys.executable, "bench/listening_server.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_listeners_rate_poll_and_load_at_the_same_time():
    said = bench("--listeners", "6", "--seconds", "3", "--trial", "2")
    [(listeners, stored)] = re.findall(r"(\d+) listeners, \d+ s: (\d+) events stored", said)
    assert int(listeners) == 6
    assert int(stored) > 30


def test_a_server_killed_while_listeners_send_loses_nothing_acknowledged():
    said = bench("--kills", "3")
    [(kills, acknowledged, missing)] = re.findall(r"(\d+) kills: (\d+) events acknowledged, (\d+) of them", said)
    assert (int(kills), int(missing)) == (3, 0)
    assert int(acknowledged) > 0
