"""The audio interface, through PortAudio (sounddevice): ASIO, JACK, Core Audio, WASAPI, ALSA."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
from numpy import ndarray

from listening.native_player.playback import Playback
from render.common.errors import InputError


def sounddevice() -> Any:
    """Return the module `sounddevice`.

    Raises
    ------
    InputError
        If it, or PortAudio, is not installed.
    """
    try:
        import sounddevice as module
    except ModuleNotFoundError:
        raise InputError("listening.play needs sounddevice: pip install 'hoa-rvqgan[native]'") from None
    except OSError as error:  # sounddevice: "PortAudio library not found"
        raise InputError(f"{error}; install it: sudo apt-get install libportaudio2") from None
    return module


def device_lines() -> list[str]:
    """One line for each output device: its number, channels, rate, host API and name."""
    module = sounddevice()
    hosts = module.query_hostapis()
    return [
        f"{device['index']:3d}  {device['max_output_channels']:3d} channels  {device['default_samplerate']:6.0f}"
        f" Hz  {hosts[device['hostapi']]['name']}: {device['name']}"
        for device in module.query_devices()
        if device["max_output_channels"] > 0
    ]


class Device:
    """An open output stream.

    Parameters
    ----------
    playback : Playback
        Renders what is played.
    device : str or None
        Number of ``listening.play --list`` or a part of the name; None for the system's default.

    Raises
    ------
    InputError
        If there is no such device, or it has too few channels or another rate.
    """

    def __init__(self, playback: Playback, device: str | None) -> None:
        module = sounddevice()
        wanted = int(device) if device is not None and device.isdecimal() else device
        try:
            found = module.query_devices(wanted, "output")
        except ValueError as error:
            raise InputError(f"{error}; listening.play --list shows the devices") from None
        self.name: str = found["name"]
        needed = playback.device_channels
        if found["max_output_channels"] < needed:
            raise InputError(
                f"device {self.name} has {found['max_output_channels']} output channels, {needed} are needed; "
                "name another one with --device (--list shows them)"
            )
        self.underruns = 0
        self._playback = playback
        self._block = np.zeros((needed, 0), np.float32)
        try:
            self._stream = module.OutputStream(
                samplerate=playback.rate_hz, device=found["index"], channels=needed, dtype="float32",
                latency="high", callback=self._render,
            )  # fmt: skip
        except module.PortAudioError as error:
            raise InputError(f"device {self.name}: {error} ({needed} channels at {playback.rate_hz} Hz)") from None
        self.latency_s: float = self._stream.latency

    def __enter__(self) -> Device:
        self._stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.stop()  # plays what is rendered, the fade-out too
        self._stream.close()

    @property
    def is_active(self) -> bool:
        """Whether the stream runs: an interface that is unplugged ends it."""
        return bool(self._stream.active)

    def _render(self, output: ndarray, frames: int, _time: object, status: Any) -> None:
        """Fill a block, (time, device); PortAudio's thread calls it."""
        if status.output_underflow:
            self.underruns += 1
        if self._block.shape[1] != frames:
            self._block = np.zeros((len(self._block), frames), np.float32)
        self._playback.render(self._block)
        output[:] = self._block.T
