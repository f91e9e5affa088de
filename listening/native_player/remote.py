"""The player's side of the connection to the server: commands come, files are fetched, the state goes back."""

from __future__ import annotations

import http.client
import io
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile
from jaxtyping import Float32
from numpy import ndarray

from listening.native_player.playback import CommandError, Heard, Playback
from render.common.errors import InputError

_FILE_ID = re.compile(r"[0-9a-f]{32}")
_WAIT_S = 2  # how long the server keeps a question for commands open
_REPORT_S = 1.0  # a state is sent at each change, and so often without one
_LOOK_S = 0.01  # how often the state is compared
_AGAIN_S = 1.0  # after a lost connection


class ReplacedError(Exception):
    """Another player has taken this one's place."""


class Server:
    """A listener's address on the server; used by one thread at a time.

    Parameters
    ----------
    address : str
        ``http://HOST:PORT/.../t/<token>/``, as the listener's link.

    Raises
    ------
    InputError
        If the address is none of this kind.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not re.search(r"/t/[^/]+/?$", parts.path)
        ):
            raise InputError(f"{address}: give the listener's whole link, http://127.0.0.1:8714/t/.../")
        self.address = address
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc.rpartition("@")[2], timeout=30)
        self._path = parts.path.rstrip("/") + "/"

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Answer to GET, or to POST of a JSON object.

        Raises
        ------
        OSError
            If the server cannot be reached.
        ReplacedError
            If another player has taken this one's place.
        InputError
            If the server refuses otherwise: the link is not valid any more.
        """
        try:
            content = None if body is None else json.dumps(body)
            self._connection.request("GET" if body is None else "POST", self._path + path, content)
            answer = self._connection.getresponse()
            data = answer.read()
        except http.client.HTTPException as error:
            self._connection.close()
            raise ConnectionError(f"the server's answer is broken: {error!r}") from None
        except OSError:
            self._connection.close()
            raise
        if answer.status == 409:
            raise ReplacedError
        if answer.status >= 500:
            raise ConnectionError(f"the server answers {answer.status}")
        if answer.status != 200:
            raise InputError(f"{self.address}: the server answers {answer.status}; is this the whole link?")
        return data

    def ask_json(self, path: str, body: dict[str, Any] | None, *names: str) -> list[Any]:
        """Members of the answer, a JSON object.

        Raises
        ------
        OSError, ReplacedError
            As `ask`.
        InputError
            As `ask`, and if the answer is no such object.
        """
        data = self.ask(path, body)
        try:
            answer = json.loads(data)
            return [answer[name] for name in names]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.address}: what answers is not listening.serve of this version") from None


class Remote:
    """Carries out what the page asks for, until it is ended.

    Parameters
    ----------
    address : str
        As for `Server`.
    playback : Playback
    facts : callable
        () -> what the state says of the device, e.g. ``{"device": name, "underruns": 0}``.
    """

    def __init__(self, address: str, playback: Playback, facts: Callable[[], dict[str, Any]]) -> None:
        self._address = address
        self._playback = playback
        self._facts = facts
        self._id = secrets.token_hex(8)
        self._status, self._why = "starting", ""
        self._done = 0
        self._refused: dict[str, Any] | None = None
        self._prepared: str | None = None
        self._failed: dict[str, Any] | None = None
        self._ended = threading.Event()
        self._end: Exception | None = None

    def run(self, is_alive: Callable[[], bool] = lambda: True) -> None:
        """Serve the page until `end` is called, another player takes the place, or the device is lost.

        Raises
        ------
        ReplacedError
        InputError
            If the link is no longer valid, or `is_alive` says that the device has gone.
        """
        with Server(self._address) as server:
            self._done = self._report(server)
        self._status = "ready"
        threads = [threading.Thread(target=self._until_ended, args=[work], daemon=True)
                   for work in (self._report_always, self._follow)]  # fmt: skip
        for thread in threads:
            thread.start()
        with suppress(KeyboardInterrupt):  # the usual way to end a player
            while not self._ended.wait(0.2):
                if not is_alive():
                    self._stop(InputError("the audio device has gone; connect it and start listening.play again"))
        self._ended.set()
        self._playback.carry_out({"type": "stop"})
        if self._end is None:
            self._status, self._why = "ended", "The player outside the browser was ended."
        else:
            self._status, self._why = "failed", f"The player outside the browser has ended: {self._end}."
        with suppress(OSError, ReplacedError, InputError), Server(self._address) as server:
            self._report(server)  # without it the server finds out by the silence
        for thread in threads:
            thread.join(2 * _WAIT_S)
        if self._end is not None:
            raise self._end

    def end(self) -> None:
        """Let `run` return."""
        self._ended.set()

    def _stop(self, error: Exception) -> None:
        self._end = self._end or error
        self._ended.set()

    def _until_ended(self, work: Callable[[Server], None]) -> None:
        """Repeat `work`; a lost connection stops the sound, and is tried again."""
        with Server(self._address) as server:
            while not self._ended.is_set():
                try:
                    work(server)
                except (ReplacedError, InputError) as error:
                    self._stop(error)
                except OSError:
                    self._playback.carry_out({"type": "stop"})
                    self._ended.wait(_AGAIN_S)

    def _report_always(self, server: Server) -> None:
        sent, at = None, -_REPORT_S
        while not self._ended.is_set():
            state = self._state()
            if state != sent or time.monotonic() - at > _REPORT_S:
                self._report(server, state)
                sent, at = state, time.monotonic()
            self._ended.wait(_LOOK_S)

    def _report(self, server: Server, state: dict[str, Any] | None = None) -> int:
        body = {"player": self._id, "state": state or self._state()}
        return server.ask_json("api/native/player", body, "number")[0]

    def _state(self) -> dict[str, Any]:
        heard: Heard = self._playback.heard
        return {
            "status": self._status, "why": self._why, "sample_rate_hz": self._playback.rate_hz,
            "turn": heard.turn, "playing": heard.slot, "position": heard.position, "done": self._done,
            "refused": self._refused, "prepared": self._prepared, "failed": self._failed, **self._facts(),
        }  # fmt: skip

    def _follow(self, server: Server) -> None:
        while not self._ended.is_set():
            path = f"api/native/player?player={self._id}&after={self._done}&wait={_WAIT_S}"
            for command in server.ask_json(path, None, "commands")[0]:
                self._carry_out(command)
                self._done = command["number"]

    def _carry_out(self, command: dict[str, Any]) -> None:
        if command.get("type") == "prepare":  # takes seconds: what plays goes on being played, switched, stopped
            threading.Thread(target=self._prepare, args=[command], daemon=True).start()
            return
        try:
            self._playback.carry_out(command)
        except CommandError as error:
            self._refused = {"number": command["number"], "why": str(error)}

    def _prepare(self, command: dict[str, Any]) -> None:
        try:
            stimuli = {}
            with Server(self._address) as server:
                for stimulus in command["stimuli"]:
                    if not _FILE_ID.fullmatch(str(stimulus["audio"])):
                        raise CommandError(f"{stimulus['audio']} is no file id")
                    data = server.ask(f"audio/{stimulus['audio']}")
                    stimuli[stimulus["id"]] = samples_of(data, self._playback.rate_hz)
            self._playback.prepare(stimuli)
            self._prepared = command["item"]
        except (CommandError, InputError, ReplacedError, OSError, KeyError, TypeError) as error:
            self._failed = {"item": command.get("item"), "why": f"The player cannot load the item: {error}"}


def samples_of(data: bytes, rate_hz: int) -> Float32[ndarray, "channel time"]:
    """Samples of a WAV file: its integers over 2^15 or 2^23, exactly.

    Raises
    ------
    CommandError
        If it cannot be read, or has another rate.
    """
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise CommandError(f"a file cannot be read: {error}") from None
    if rate != rate_hz:
        raise CommandError(f"a file has {rate} Hz, the test {rate_hz} Hz")
    return np.ascontiguousarray(samples.T)
