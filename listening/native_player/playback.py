"""What a player outside the browser holds: commands that wait, the stimuli, and the switching between them.

One thread takes commands from the network, another one, the audio interface's, renders. Commands pass between them
in a queue and take effect at the first sample of a block, as in the browser's audio thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from listening.native_player.switching import Stimuli, Switcher, fade_length, shortest_loop

QUIET_S = 0.2  # silence after the start: some devices click while they start
LIMIT_DB = 4.0  # BS.1534-3: the listener's own adjustment


class CommandError(ValueError):
    """A command that cannot be carried out; nothing of it was."""


@dataclass(frozen=True)
class Heard:
    """What sounds: `turn` counts starts, switches, loops and stops; `position` is where the last of them began."""

    turn: int = 0
    slot: str | int | None = None
    position: int = 0


class Playback:
    """Stimuli, and what is played of them.

    Parameters
    ----------
    rate_hz : int
    channels : int
        Of the files.
    device_channels : int
        Of the output.
    """

    def __init__(self, rate_hz: int, channels: int, device_channels: int) -> None:
        self.rate_hz, self.channels, self.device_channels = rate_hz, channels, device_channels
        self.heard = Heard()
        self._switcher = Switcher(rate_hz)
        self._quiet = round(QUIET_S * rate_hz)
        self._queue: deque[Callable[[], None]] = deque()
        self._prepared: Stimuli | None = None
        self._used: Stimuli = {}

    def prepare(self, stimuli: Stimuli) -> None:
        """Keep the stimuli of the next item, (channel, time) at the rate of the output, for the command ``use``.

        Raises
        ------
        CommandError
            If they differ in length, or are no more than two fades long.
        """
        lengths = {samples.shape for samples in stimuli.values()}
        if len(lengths) != 1:
            raise CommandError("the stimuli of an item differ in their length or in their number of channels")
        channels, frames = lengths.pop()
        if channels != self.channels or frames < 2 * fade_length(self.rate_hz):
            raise CommandError(f"stimuli have {channels} channels and {frames} samples")
        self._prepared = stimuli

    def carry_out(self, command: Mapping[str, Any]) -> None:
        """Check a command (`listening.server.native_relay` lists them) and let the next block begin with it.

        Raises
        ------
        CommandError
            If it is none that can be carried out now.
        """
        switcher = self._switcher
        match command.get("type"):
            case "use":
                if self._prepared is None:
                    raise CommandError("no item is prepared")
                self._used, self._prepared = self._prepared, None
                self._then(switcher.use, self._used)
            case "play":
                slot, position = command.get("slot"), command.get("position")
                if not isinstance(slot, str | int) or slot not in self._used:
                    raise CommandError(f"there is no stimulus {slot}")
                self._then(switcher.play, slot, None if position is None else self._position(position))
            case "stop":
                self._then(switcher.stop)
            case "seek":
                self._then(switcher.seek, self._position(command.get("position")))
            case "loop" if command.get("start") is None:
                self._then(switcher.set_loop, None)
            case "loop":
                start, end = self._position(command.get("start")), self._position(command.get("end"))
                if end - start < shortest_loop(self.rate_hz):
                    raise CommandError(f"a loop has {shortest_loop(self.rate_hz)} samples at least")
                self._then(switcher.set_loop, (start, end))
            case "gain":
                gain = command.get("gain")
                if not isinstance(gain, float | int) or not abs(20 * np.log10(max(gain, 1e-9))) <= LIMIT_DB + 1e-5:
                    raise CommandError(f"a gain lies within +-{LIMIT_DB} dB")
                self._then(switcher.set_gain, gain)
            case "map":
                self._then(switcher.set_map, self._map(command.get("map")))
            case other:
                raise CommandError(f"there is no command {other}")

    def render(self, output: Float32[ndarray, "device time"]) -> None:
        """Fill `output` with the next samples; called by the audio interface."""
        if self._quiet > 0:
            self._quiet -= output.shape[1]
            output[:] = 0
            return
        while self._queue:
            self._queue.popleft()()
        self._switcher.process(output)
        turns = [step for step in self._switcher.transitions if step.phase != "out"]
        self._switcher.transitions.clear()
        if turns:
            last = turns[-1]
            self.heard = Heard(self.heard.turn + 1, last.slot, last.position)  # pyrefly: ignore

    def _then(self, action: Callable[..., None], *arguments: Any) -> None:
        self._queue.append(lambda: action(*arguments))

    def _position(self, position: object) -> int:
        frames = next(iter(self._used.values())).shape[1] if self._used else 0
        if type(position) is not int or not 0 <= position <= frames:
            raise CommandError(f"a position lies within 0 and {frames} samples")
        return position

    def _map(self, output_map: object) -> list[int | None]:
        def fits(channel: object) -> bool:
            return channel is None or (type(channel) is int and 0 <= channel < self.channels)

        if not isinstance(output_map, list) or not all(fits(channel) for channel in output_map):
            raise CommandError("an output map has a channel of the files, or null, for each channel of the device")
        if len(output_map) > self.device_channels:
            raise CommandError(f"the output map has {len(output_map)} channels, the device {self.device_channels}")
        return output_map
