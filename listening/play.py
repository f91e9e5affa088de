"""Play a listening test on an audio interface that the browser cannot reach (ASIO, JACK, more than two channels).

    python -m listening.play --list
    python -m listening.play --server http://127.0.0.1:8714/t/TOKEN/ --device "MADI"

The page that belongs to the listener's link drives this player through the server: the listener starts, switches
and rates in the browser, and hears from here. Switching is that of the page, sample for sample. It needs PortAudio
and sounddevice, the package's extra `native`. Ctrl-C ends the player; the page says so.
"""

from __future__ import annotations

from render.common.cli import parser, run


def main() -> None:
    """Run ``python -m listening.play``."""
    command = parser(__doc__, "listening.play")
    command.add_argument("--server", metavar="LINK", help="of the listener, as listening.serve prints it")
    command.add_argument("--device", metavar="D", help="number or part of the name (default: the system's)")
    command.add_argument(
        "--channels", type=int, metavar="N", help="outputs to choose from on the page (default: the test's number)"
    )
    command.add_argument("--list", action="store_true", help="print the devices and exit")
    given = command.parse_args()
    if given.server is None and not given.list:
        command.error("give --server LINK, or --list")

    from listening.native_player.device import Device, device_lines
    from listening.native_player.playback import Playback
    from listening.native_player.remote import Remote, ReplacedError, Server
    from render.common.errors import InputError

    if given.list:
        print("\n".join(device_lines()) or "no output device")
        return
    try:
        with Server(given.server) as server:
            [audio] = server.ask_json("api/session", None, "audio")
    except OSError as error:
        raise InputError(f"{given.server}: {error}; is listening.serve running?") from None
    rate_hz, channels = audio["sample_rate_hz"], audio["channels"]
    outputs = channels if given.channels is None else given.channels
    if outputs < channels:
        raise InputError(f"--channels {outputs}: the test has {channels} channels")
    playback = Playback(rate_hz, channels, outputs)
    with Device(playback, given.device) as device:
        print(f"{device.name}: {outputs} channels at {rate_hz} Hz; Ctrl-C ends the player", flush=True)
        remote = Remote(
            given.server, playback,
            lambda: {
                "device": device.name, "max_channels": outputs, "latency_s": device.latency_s,
                "underruns": device.underruns,
            },
        )  # fmt: skip
        try:
            remote.run(lambda: device.is_active)
        except ReplacedError:
            raise InputError("another player was started for this listener and has taken over") from None


if __name__ == "__main__":
    run(main)
