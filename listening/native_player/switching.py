"""Switching between the stimuli of an item (ITU-R BS.1534-3), as in ``listening/server/static/switching.js``.

What is sounding fades out over 5 ms, then what is wanted fades in over 5 ms; two stimuli never sound together. The
comment at the head of the JavaScript says which position continues in each case. The two give equal samples:
arithmetic is in float32, (sample times fade) times gain, each product rounded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

FADE_S = 0.005
LOOP_S = 0.5  # shortest loop (BS.1534-3)

Slot = Hashable
Phase = Literal["in", "sounding", "out", "silent"]
Stimuli = Mapping[Slot, Float32[ndarray, "channel time"]]


def fade_length(rate_hz: float) -> int:
    """Length of a fade in samples; halves are rounded up, as in JavaScript."""
    return int(FADE_S * rate_hz + 0.5)


def shortest_loop(rate_hz: float) -> int:
    """Shortest loop in samples."""
    return int(LOOP_S * rate_hz + 0.5)


def fade_in(rate_hz: float) -> Float32[ndarray, " time"]:
    """Raised cosine of a fade-in; a fade-out is the same backwards."""
    length = fade_length(rate_hz)
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)


@dataclass(frozen=True)
class Transition:
    """The phase that begins with output sample `frame`, which is sample `position` of stimulus `slot`."""

    frame: int
    phase: Phase
    slot: Slot | None
    position: int


@dataclass
class _Wanted:
    """What shall be once the fade-out is done; None where nothing is to change (slot: where silence is wanted)."""

    slot: Slot | None = None
    position: int | None = None
    stimuli: Stimuli | None = None
    output_map: Sequence[int | None] | None = None
    gain: np.float32 = field(default_factory=lambda: np.float32(1))


class Switcher:
    """State machine that renders what sounds, block by block.

    Parameters
    ----------
    rate_hz : float
        Of all stimuli.

    Attributes
    ----------
    frame : int
        Running number of the next output sample.
    slot : hashable or None
        What sounds.
    position : int
        Sample of the stimulus that is played next.
    transitions : list of Transition
        What happened since the reader last emptied it.
    """

    def __init__(self, rate_hz: float) -> None:
        self.fade = fade_in(rate_hz)
        self.stimuli: Stimuli = {}
        self.frames = 0
        self.output_map: Sequence[int | None] = ()
        self.frame = 0
        self.phase: Phase = "silent"
        self.slot: Slot | None = None
        self.position = 0
        self.loop: tuple[int, int] | None = None
        self.transitions: list[Transition] = []
        self._step = 0
        self._gain = self._gain_before = np.float32(1)
        self._gain_step = len(self.fade)
        self._wanted = _Wanted()

    def use(self, stimuli: Stimuli) -> None:
        """Let other stimuli, all of equal length, take the place of those there are; what sounds stops."""
        self._wanted.stimuli, self._wanted.slot, self._wanted.position = stimuli, None, None
        self.loop = None

    def play(self, slot: Slot, position: int | None = None) -> None:
        """Start, or switch; at `position`, or where playback stands."""
        if slot not in (self.stimuli if self._wanted.stimuli is None else self._wanted.stimuli):
            raise KeyError(f"there is no stimulus {slot}")
        self._wanted.slot = slot
        if position is not None:
            self._wanted.position = position

    def stop(self) -> None:
        """Fade out; playback can go on where it stopped."""
        self._wanted.slot = None

    def seek(self, position: int) -> None:
        """Continue at another sample."""
        self._wanted.position = position

    def set_loop(self, loop: tuple[int, int] | None) -> None:
        """Loop over [start, end), or None."""
        self.loop = loop

    def set_map(self, output_map: Sequence[int | None]) -> None:
        """Let each device channel play a channel of the files, or None for silence; changed in silence."""
        self._wanted.output_map = output_map

    def set_gain(self, gain: float) -> None:
        """Factor on all samples; while something sounds it changes along the raised cosine of a fade."""
        self._wanted.gain = np.float32(gain)

    def process(self, output: Float32[ndarray, "device time"]) -> None:
        """Render the next samples into `output`."""
        length = output.shape[1]
        done = 0
        while done < length:
            self._advance()
            run = min(length - done, self._until_change())
            self._render(output[:, done : done + run])
            done += run

    def _advance(self) -> None:
        """Enter the phase in which the next sample is played."""
        length = len(self.fade)
        if self.phase == "out" and self._step == length:
            self._fall_silent()
        if self.phase == "in" and self._step == length:
            self.phase = "sounding"
        if self.phase == "sounding" and self._must_fade():
            self._enter("out")
        if self._gain_step == length and self._wanted.gain != self._gain:
            self._gain_before, self._gain = self._gain, self._wanted.gain
            self._gain_step = length if self.phase == "silent" else 0
        if self.phase == "silent":
            self._settle()

    @property
    def _region(self) -> tuple[int, int]:
        """Region that is played, as [start, end)."""
        return (0, self.frames) if self.loop is None else self.loop

    def _must_fade(self) -> bool:
        start, end = self._region
        return self._is_asked() or self.position < start or self.position >= end - len(self.fade)

    def _is_asked(self) -> bool:
        """Whether something else is wanted than what sounds."""
        wanted = self._wanted
        changes = (wanted.position, wanted.stimuli, wanted.output_map)
        return wanted.slot != self.slot or any(change is not None for change in changes)

    def _fall_silent(self) -> None:
        """After a fade-out: at the end of the file playback stops, unless something is wanted."""
        if self.loop is None and self.position == self.frames and not self._is_asked():
            self._wanted.slot, self._wanted.position = None, 0
        self.slot = None
        self._gain_step = len(self.fade)
        self._enter("silent")

    def _settle(self) -> None:
        """In silence: take over what is wanted, and start if something is to sound."""
        wanted = self._wanted
        if wanted.output_map is not None:
            self.output_map, wanted.output_map = wanted.output_map, None
        if wanted.stimuli is not None:
            self.stimuli, wanted.stimuli = wanted.stimuli, None
            self.frames = next(iter(self.stimuli.values())).shape[1]
            self.position = 0
            self._enter("silent")
        if wanted.position is not None:
            self.position, wanted.position = wanted.position, None
            self._enter("silent")
        if wanted.slot is not None:
            start, end = self._region
            if self.position < start or self.position > end - 2 * len(self.fade):
                self.position = start
            self.slot = wanted.slot
            self._enter("in")

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._step = 0
        self.transitions.append(Transition(self.frame, phase, self.slot, self.position))

    def _until_change(self) -> int:
        """Samples until the phase may change."""
        length = len(self.fade)
        if self.phase == "silent":
            return 2**62
        phase = self._region[1] - length - self.position if self.phase == "sounding" else length - self._step
        return min(phase, length - self._gain_step) if self._gain_step < length else phase

    def _render(self, output: Float32[ndarray, "device time"]) -> None:
        run = output.shape[1]
        self.frame += run
        if self.phase == "silent":
            output[:] = 0
            return
        source = self.stimuli[self.slot][:, self.position : self.position + run]
        gain = np.full(run, self._gain)
        if self._gain_step < len(self.fade):
            fade = self.fade[self._gain_step : self._gain_step + run]
            gain = self._gain_before + (self._gain - self._gain_before) * fade
            self._gain_step += run
        for device in range(len(output)):
            channel = self.output_map[device] if device < len(self.output_map) else None
            output[device] = 0 if channel is None else source[channel]
        if self.phase in ("in", "out"):
            steps = np.arange(self._step, self._step + run)
            output *= self.fade[steps if self.phase == "in" else len(self.fade) - 1 - steps]
            self._step += run
        output *= gain
        self.position += run
