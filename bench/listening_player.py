"""Capture twelve channels of the page's player for 5 minutes on each of two output maps, and measure its memory.

The test of playback, tests/listening/server/test_player_capture.py, runs with 300 s and 240 requests in place
of 30 s and 36: more than 200 switches on each map, in the second half of each run with two busy processes and a
main thread that stalls for 150 ms every 400 ms. It prints how many samples were compared and how many differ.
Then the memory of a page with 12 channels x 10 s x 6 stimuli is printed, with one item in use and one prepared,
and after six more items. Needs Chromium and PulseAudio, as that test does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from render.common.cli import parser

TESTS = Path(__file__).parents[1] / "tests" / "listening" / "server"


def main() -> None:
    """Run the two tests with their output shown."""
    arguments = parser(__doc__, "bench.listening_player")
    arguments.add_argument("--seconds", type=int, default=300, help="of each run (default 300)")
    arguments.add_argument("--requests", type=int, default=240, help="in each run (default 240)")
    given = arguments.parse_args()
    environment = os.environ | {"CAPTURE_SECONDS": str(given.seconds), "CAPTURE_REQUESTS": str(given.requests)}
    memory = f"{TESTS / 'test_player_device.py'}::test_a_page_holds_two_items_at_most"
    command = [sys.executable, "-m", "pytest", "-s", "-rs", TESTS / "test_player_capture.py", memory]
    sys.exit(subprocess.run(command, env=environment).returncode)


if __name__ == "__main__":
    main()
