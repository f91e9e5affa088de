"""The database: whose it is, that nothing recorded is touched, and that what was acknowledged survives a kill."""

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from analysis.ratings.importers.listening_server import APPLICATION_ID
from listening.sessions.outcomes import NotStored, Stored
from listening.sessions.store import StorageError, Store
from render.common.errors import InputError

META = {"test": "1" * 64, "desk_token": "desk"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.sqlite"


def content(path):
    with sqlite3.connect(path) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608
    database.close()
    return found


def test_a_new_database_is_for_its_owner_alone_and_says_what_it_is(path):
    Store(path, META).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        assert dict(database.execute("SELECT key, value FROM meta")) == META
    database.close()


def test_the_log_has_the_same_mode_and_is_synchronous(path):
    store = Store(path, META)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: the log is on the disk
    assert stat.S_IMODE(Path(f"{path}-wal").stat().st_mode) == 0o600
    store.close()


def test_two_servers_cannot_have_one_database(path):
    store = Store(path, META)
    with pytest.raises(InputError, match="another server is running with it"):
        Store(path, META)
    other = (
        f"from listening.sessions.store import Store; Store(__import__('pathlib').Path({str(path)!r}), {META!r})"
    )
    answer = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True)
    assert "another server is running with it" in answer.stderr
    store.close()
    Store(path, META).close()


def test_a_reader_does_not_free_the_lock(path):
    store = Store(path, META)
    sqlite3.connect(path).close()
    with pytest.raises(InputError, match="another server"):
        Store(path, META)
    store.close()


def foreign(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE thing (a)")
    database.close()


def changed(pragma):
    def change(path):
        Store(path, META).close()
        with sqlite3.connect(path) as database:
            database.execute(f"PRAGMA {pragma}")
        database.close()

    return change


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign, "is a database of another program"),
        (changed("user_version = 2"), "is of version 2, this program writes version 1"),
        (changed("application_id = 5"), "is a database of another program"),
        (lambda path: path.write_text("session,listener\n"), "is no database of a listening test"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 5000), "is no database of a listening test"),
        (lambda path: Store(path, META | {"test": "2" * 64}).close(), "holds the results of another test"),
    ],
)
def test_what_is_not_this_test_is_refused_and_not_touched(path, make, message):
    make(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        Store(path, META)
    assert path.read_bytes() == before


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        Store(tmp_path, META)


def test_a_server_that_was_killed_before_it_made_the_tables_leaves_a_file_that_is_taken(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
    database.close()
    assert path.stat().st_size > 0
    store = Store(path, META)
    assert store.meta("test") == META["test"]
    store.close()


def test_a_transaction_is_whole_or_absent(path):
    store = Store(path, META)
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as execute:
        execute("INSERT INTO meta VALUES ('a', 1), ('test', 2)")
    assert store.meta("a") is None
    with store.transaction() as execute:
        execute("INSERT INTO meta VALUES ('a', 1)")
    assert store.meta("a") == 1
    store.close()


def test_a_full_database_is_a_storage_error_and_the_store_goes_on(path):
    store = Store(path, META)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full"), store.transaction() as execute:
        execute("INSERT INTO meta VALUES ('big', ?)", ("x" * 100_000,))
    store._connection.execute("PRAGMA max_page_count = 1000000")
    with store.transaction() as execute:
        execute("INSERT INTO meta VALUES ('big', ?)", ("x" * 100_000,))
    assert len(store.meta("big")) == 100_000
    store.close()


def test_on_a_full_disk_the_call_fails_and_everything_before_and_after_it_is_stored(opened, listen, tmp_path):
    test = opened()
    listener = listen(test)
    listener.finish(until="trial")
    first = listener.seq
    stored = content(tmp_path / "results.sqlite")
    state = test.session(listener.name)["state"]
    connection = test._store._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    long = [listener.event("comment", len(listener.pages) - 6, text="x" * 9000) for _ in range(20)]
    outcome = test.append(listener.name, "w", long)
    assert isinstance(outcome, NotStored)
    assert "full" in outcome.why
    assert content(tmp_path / "results.sqlite") == stored
    assert test.session(listener.name)["state"] == state
    assert test.notes == [f"Nothing can be stored: {outcome.why}."]
    assert test.poll(listener.name, "w") == {"paused": False, "withdrawn": False, "elsewhere": False}
    connection.execute("PRAGMA max_page_count = 1000000")
    assert test.append(listener.name, "w", long) == Stored(first + 20)
    assert test.notes == []


def test_a_copy_of_the_file_alone_holds_what_was_done_up_to_the_last_page(opened, listen, tmp_path):
    test = opened()
    listener, copy = listen(test), tmp_path / "copy.sqlite"
    listener.finish(until="comments")
    stored = content(tmp_path / "results.sqlite")
    listener.send([listener.event("comment", len(listener.pages) - 2, text="later")])
    copy.write_bytes((tmp_path / "results.sqlite").read_bytes())
    assert stored["rating"]
    assert content(copy) == stored
    test.withdraw(listener.name)
    copy.write_bytes((tmp_path / "results.sqlite").read_bytes())
    assert content(copy)["listener"] == content(tmp_path / "results.sqlite")["listener"]
    assert len(content(copy)["event"]) == len(stored["event"]) + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_on_a_file_system_that_is_really_full(package, tmp_path, listen):
    from listening.sessions.listening_test import ListeningTest

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        test = ListeningTest.open(package, small / "results.sqlite")
        listener = listen(test)
        listener.finish(until="trial")
        page = test.session(listener.name)["state"]["page"]
        acknowledged = listener.seq
        while True:
            event = listener.event("comment", page, text="x" * 9000)
            outcome = test.append(listener.name, "w", [event])
            if outcome != Stored(listener.seq):
                break
            acknowledged = listener.seq
        assert isinstance(outcome, NotStored)
        test.close()
        with sqlite3.connect(f"file:{small}/results.sqlite?mode=ro", uri=True) as database:
            assert database.execute("SELECT max(seq), count(*) FROM event").fetchone() == (acknowledged,) * 2
        database.close()
    finally:
        subprocess.run(["umount", small], check=True)


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from listening.sessions.listening_test import ListeningTest
    package, database = map(Path, sys.argv[1:])
    test = ListeningTest.open(package, database)
    name = "L01" if test.overview() else test.add_listener()
    stored = test.open_window(name, "w", True).stored
    print("ready", flush=True)
    while True:
        event = {"seq": stored + 1, "at_ms": stored, "type": "language", "page": 0, "language": "en"}
        stored = test.append(name, "w", [event]).stored
        print(stored, flush=True)
    """
)


def killed_writer(package, database, seconds):
    """Last event that a process acknowledged before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, package, database], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    return int(lines[-1]) if lines else 0


def test_a_killed_server_has_lost_nothing_that_it_acknowledged(package, tmp_path):
    """bench/session_kills.py does the same 200 times."""
    database, moment = tmp_path / "results.sqlite", random.Random(1)
    for _ in range(3):
        acknowledged = killed_writer(package, database, moment.uniform(0.0, 0.2))
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            numbers = [seq for (seq,) in connection.execute("SELECT seq FROM event ORDER BY id")]
        connection.close()
        assert numbers == list(range(1, len(numbers) + 1))
        assert acknowledged <= len(numbers) <= acknowledged + 1 or acknowledged == 0
