"""A running listening test: what the server asks of it, and where everything that listeners do is stored.

All methods may be called from any thread. Nothing is acknowledged before it is on the disk. What only reads waits
for nobody: a listener's state is never changed, but replaced as a whole once it is stored.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any

from analysis.ratings.table import read_key
from listening.sessions import ratings
from listening.sessions.active_listener import ActiveListener, now_ms
from listening.sessions.desk_view import overview_row
from listening.sessions.listener_view import audio_path, session_json, transducer_in_use, transducers_of
from listening.sessions.outcomes import (
    Elsewhere,
    Gap,
    NotStored,
    Opened,
    Outcome,
    Refused,
    Stored,
    TooMuch,
    Withdrawn,
)
from listening.sessions.package import TestPackage, read_package
from listening.sessions.pages import Key, pages
from listening.sessions.plan import SessionPlan, load_plan
from listening.sessions.progress import Impossible, Progress, Session, after
from listening.sessions.store import Execute, Listener, StorageError, Store, insert_events, insert_rows
from listening.sessions.texts import Texts, load_texts
from render.common.errors import InputError
from render.common.files import read_json, sha256_of

SEEN_S = 15.0
"""A window that was heard of within this time is taken to be in use."""

MAX_LISTENERS = 9999

MAX_CHARACTERS = 64 << 20
"""Of the JSON of all events of one listener: some 500,000 events, ten times those of a long session.

Who has a link may send what he likes; it must not fill the disk that the others need.
"""

MAX_WINDOWS = 5000
"""Windows that one listener opens: every reload may be one."""


Batch = tuple[str, str, list[Any]]
"""Listener, window and events."""


@dataclass
class _Draft:
    """State of a listener after events that are not yet on the disk."""

    progress: Progress
    last: int
    characters: int


class ListeningTest:
    """The test of one package, one plan and one database.

    Attributes
    ----------
    plan : SessionPlan
    package : TestPackage
    desk_token : str
    """

    def __init__(
        self,
        package: TestPackage,
        plan: SessionPlan,
        texts: Texts,
        store: Store,
        key: Key | None = None,
    ):
        self.package, self.plan = package, plan
        self.desk_token: str = store.meta("desk_token")
        if not isinstance(self.desk_token, str):
            raise TypeError("it lacks the desk's token")
        self._texts, self._store, self._key = texts, store, key
        self._lock = RLock()
        self._paused = bool(store.meta("paused"))
        self._problem = ""
        self._raters = {row.id: self._rater(row) for row in store.listeners()}
        for window in store.windows():
            rater = self._raters[window.listener]
            rater.window, rater.last[window.window] = window.window, window.last
        for listener, received_ms, event in store.events():
            rater = self._raters[listener]
            try:
                rater.progress = after(rater.progress, event, rater.session)
            except Impossible as error:
                raise InputError(
                    f"{store.path}: event {event['seq']} of listener {listener} cannot be ({error}); it was "
                    "written by another version of this program"
                ) from error
            rater.characters += _characters(event)
            rater.seen_ms = received_ms

    @classmethod
    def open(
        cls, package: Path, database: Path, plan: Path | None = None, key: Path | None = None
    ) -> ListeningTest:
        """Read and verify a package, and open its database or make a new one.

        Raises
        ------
        InputError
            For a package, plan, key or database that is damaged, of another version, or of another test.
        """
        settings = load_plan(plan)
        texts = load_texts(settings.languages, settings.texts)
        read = read_package(package)
        known = read_key(key) if key else None
        transducers_of(settings, read)
        pages(settings, read, 1, b"", known)  # whether the plan fits the package
        values = json.loads(json.dumps(asdict(replace(settings, texts=()))))
        meta = {
            "test": _test_id(read, settings, known),
            "session": json.dumps(read_json(package / "session.json"), ensure_ascii=False),
            "plan": json.dumps(values, ensure_ascii=False),
            "desk_token": secrets.token_urlsafe(24),
            "created": now_ms(),
        }
        store = Store(database, meta)
        try:
            return cls(read, settings, texts, store, known)
        except InputError:
            store.close()
            raise
        except (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            store.close()
            raise InputError(
                f"{database}: is damaged ({error}); go on with a copy of it, or name another file"
            ) from error

    # ------------------------------------------------------------------------------------------------ tokens

    def listener_of(self, token: str) -> str | None:
        """Listener with this token; the time that it takes says nothing of the tokens."""
        given, found = token.encode(), None
        for name, rater in list(self._raters.items()):
            if hmac.compare_digest(given, rater.row.token.encode()):
                found = name
        return found

    def is_desk(self, token: str) -> bool:
        """Whether this is the desk's token."""
        return hmac.compare_digest(token.encode(), self.desk_token.encode())

    def is_withdrawn(self, listener: str) -> bool:
        """Whether the listener takes no more part."""
        return self._raters[listener].row.withdrawn is not None

    # ----------------------------------------------------------------------------------------------- session

    def session(self, listener: str, language: str | None = None) -> dict[str, Any]:
        """Everything that the listener's page needs, and nothing that tells a condition."""
        return session_json(self._raters[listener], self.plan, self.package, self._texts, language)

    def audio_file(self, listener: str, file_id: str) -> Path | None:
        """File of an id that this listener's session holds, for the transducer that he uses."""
        return audio_path(self._raters[listener], self.plan, self.package, file_id)

    # ------------------------------------------------------------------------------------------------ events

    def open_window(
        self, listener: str, window: str, take_over: bool = False
    ) -> Opened | Elsewhere | Withdrawn | NotStored | TooMuch:
        """Make a window the listener's, unless another one is in use and is not to be taken over."""
        with self._lock:
            rater = self._raters[listener]
            if rater.row.withdrawn is not None:
                return Withdrawn()
            if window != rater.window:
                if rater.window is not None and rater.seen_ago_s < SEEN_S and not take_over:
                    return Elsewhere(rater.seen_ago_s)
                if window not in rater.last and len(rater.last) >= MAX_WINDOWS:
                    return TooMuch(f"{listener} has opened {MAX_WINDOWS} windows, more than any session has")
                try:
                    with self._store.transaction() as execute:
                        execute(
                            "INSERT INTO window (listener, window, opened_ms) VALUES (?, ?, ?) "
                            "ON CONFLICT DO UPDATE SET opened_ms = excluded.opened_ms",
                            (listener, window, now_ms()),
                        )
                except StorageError as error:
                    return self._not_stored(error)
                rater.window = window
                rater.last.setdefault(window, 0)
            rater.note_seen()
            return Opened(window, rater.last[window])

    def append(self, listener: str, window: str, events: list[Any]) -> Outcome:
        """Store the events of one window; returns after the commit."""
        return self.append_many([(listener, window, events)])[0]

    def append_many(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Store the events of several windows in one transaction; returns after the commit.

        Of each batch the events up to the first one that cannot be are stored. If the disk does not take the
        transaction, the outcome of every batch is `NotStored`, and no state has changed.
        """
        with self._lock:
            drafts: dict[str, _Draft] = {}
            try:
                with self._store.transaction() as execute:
                    outcomes = [self._take(execute, drafts, *batch) for batch in batches]
            except StorageError as error:
                return [self._not_stored(error)] * len(batches)
            self._problem = ""
            for listener, draft in drafts.items():
                rater = self._raters[listener]
                assert rater.window is not None
                rater.progress, rater.last[rater.window] = draft.progress, draft.last
                rater.characters = draft.characters
            if any(
                event.get("type") == "done" for _, _, events in batches for event in events if type(event) is dict
            ):
                self._store.fold_log()
            return outcomes

    def _take(
        self,
        execute: Execute,
        drafts: dict[str, _Draft],
        listener: str,
        window: str,
        events: list[Any],
    ) -> Outcome:
        rater = self._raters[listener]
        if rater.row.withdrawn is not None:
            return Withdrawn()
        if window != rater.window:
            return Elsewhere(rater.seen_ago_s)
        rater.note_seen()
        assert rater.seen_ms is not None
        draft = drafts.setdefault(listener, _Draft(rater.progress, rater.last[window], rater.characters))
        taken, outcome = [], None
        for event in events:
            seq = event.get("seq") if isinstance(event, dict) else None
            if type(seq) is not int or seq < 1:
                outcome = Refused("an event is an object with seq, a number from 1", draft.last)
                break
            if seq <= draft.last:
                continue
            if seq != draft.last + 1:
                outcome = Gap(draft.last)
                break
            if draft.characters + _characters(event) > MAX_CHARACTERS:
                outcome = TooMuch(f"{listener} has sent {MAX_CHARACTERS} characters, more than any session has")
                break
            try:
                draft.progress = after(draft.progress, event, rater.session)
            except Impossible as error:
                outcome = Refused(str(error), draft.last)
                break
            draft.last = seq
            draft.characters += _characters(event)
            taken.append(event)
            self._insert_results(execute, rater, draft.progress, event)
        if taken:
            insert_events(execute, listener, window, rater.seen_ms, taken)
        return outcome or Stored(draft.last)

    def _insert_results(
        self, execute: Execute, rater: ActiveListener, state: Progress, event: Mapping[str, Any]
    ) -> None:
        """Insert what an event adds to the results: an answer, or the rows of a trial that is done."""
        if event["type"] == "answer":
            answered = state.pages[event["page"]].answers[event["field"]]
            execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?)", (rater.row.id, event["field"], answered))
        trial = rater.session.pages[event["page"]].trial
        if event["type"] != "done" or trial is None or rater.session.pages[event["page"]].kind != "trial":
            return
        transducer = transducer_in_use(state, self.plan, self.package)
        name = self.plan.session or self.package.session_name(transducer)
        made = ratings.rows(
            ratings.Rater(name, rater.row.id, self.plan.method),
            trial,
            state.pages[event["page"]],
            state,
            self.package.renditions[transducer],
            rater.seen_ms or now_ms(),
        )
        insert_rows(execute, ratings.TABLE_OF[self.plan.method], made)

    def _not_stored(self, error: StorageError) -> NotStored:
        self._problem = str(error)
        return NotStored(self._problem)

    def poll(self, listener: str, window: str) -> dict[str, bool]:
        """What a page must know between its events; its window counts as in use."""
        rater = self._raters[listener]
        current = rater.window
        if window == current:
            rater.note_seen()
        return {
            "paused": self._paused,
            "withdrawn": rater.row.withdrawn is not None,
            "elsewhere": current is not None and window != current,
        }

    # -------------------------------------------------------------------------------------------------- desk

    @property
    def notes(self) -> list[str]:
        """What the desk must be told, in sentences."""
        result = [f"Nothing can be stored: {self._problem}."] if self._problem else []
        orders = len(self.package.orders)
        if len(self._raters) > orders:
            result.append(
                f"The package has orders of presentation for {orders} listeners; from L{orders + 1:02d} on they "
                "are used again from the first. The squares are balanced over multiples of them."
            )
        return result

    def overview(self) -> list[dict[str, Any]]:
        """Where every listener is.

        Returns
        -------
        list of dict
            ``listener``, ``link`` (relative to the server's address), ``page``, ``pages``, ``kind``,
            ``trials_done``, ``trials``, ``time_left_s`` (None before the first trial is done), ``underruns`` (in
            all trials), ``last_seen`` (milliseconds since 1970, or None), ``transducer``, ``device``,
            ``level_db``, ``paused``, ``withdrawn`` (milliseconds since 1970, or None), ``finished``.
        """
        return [overview_row(rater, self._paused) for rater in list(self._raters.values())]

    def add_listener(self) -> str:
        """Make a place and a link for one more listener; returns his name, as L01.

        Raises
        ------
        StorageError
        """
        with self._lock:
            number = len(self._raters) + 1
            if number > MAX_LISTENERS:
                raise InputError(f"a test has {MAX_LISTENERS} listeners at most")
            row = Listener(f"L{number:02d}", number, secrets.token_urlsafe(24), secrets.token_bytes(32), None)
            rater = self._rater(row)
            with self._store.transaction() as execute:
                execute(
                    "INSERT INTO listener (id, number, token, secret, created) VALUES (?, ?, ?, ?, ?)",
                    (row.id, row.number, row.token, row.secret, now_ms()),
                )
            self._raters[row.id] = rater
            self._store.fold_log()
            return row.id

    def withdraw(self, listener: str, note: str = "") -> None:
        """End a listener's session; what is stored of him stays, and the results leave him out.

        Raises
        ------
        StorageError
        """
        with self._lock:
            rater, now = self._raters[listener], now_ms()
            with self._store.transaction() as execute:
                execute("UPDATE listener SET withdrawn = ?, note = ? WHERE id = ?", (now, note, listener))
            rater.row = replace(rater.row, withdrawn=now)
            self._store.fold_log()

    def pause(self, on: bool) -> None:
        """Pause the test for all listeners, or let it go on; what they do is stored all the same."""
        with self._lock:
            with self._store.transaction() as execute:
                execute("INSERT OR REPLACE INTO meta VALUES ('paused', ?)", (int(on),))
            self._paused = on

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._store.close()

    # --------------------------------------------------------------------------------------------------------

    def _rater(self, row: Listener) -> ActiveListener:
        made = pages(self.plan, self.package, row.number, row.secret, self._key)
        renditions = self.package.renditions.values()
        frames = {
            item: max(rendition.items[item].frames for rendition in renditions) for item in self.package.items
        }
        transducers = transducers_of(self.plan, self.package)
        return ActiveListener(row, Session(self.plan, made, frames, frozenset(self._texts), transducers))


def _test_id(package: TestPackage, plan: SessionPlan, key: Key | None) -> str:
    """SHA-256 of all that decides what is presented and asked; the wording may change while a test runs.

    Of the plan the settings that are not the defaults count, so that later versions may have further ones.
    """
    plain = asdict(SessionPlan())
    chosen = {name: value for name, value in asdict(plan).items() if value != plain[name] and name != "texts"}
    decides = key is not None and plan.method != "mushra"  # whether the key tells which trials there are
    return sha256_of({"session": package.sha256, "plan": chosen, "key": decides})


def _characters(event: Mapping[str, Any]) -> int:
    return len(json.dumps(event))
