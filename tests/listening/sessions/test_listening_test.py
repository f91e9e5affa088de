"""The running test as the server sees it: what is sent, windows, events, the desk, many listeners at once."""

import json
import random
import sqlite3
import threading
from pathlib import Path

import pytest

from listening.sessions import active_listener, listening_test
from listening.sessions.listening_test import ListeningTest
from listening.sessions.outcomes import Elsewhere, Gap, Opened, Refused, Stored, TooMuch, Withdrawn
from render.common.errors import InputError


def rows(tmp_path, table="rating"):
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY rowid")]  # noqa: S608
    database.close()
    return found


# --------------------------------------------------------------------------------------------------- session


def test_what_a_listener_is_sent(listener):
    sent = listener.test.session(listener.name)
    assert (sent["title"], sent["listener"], sent["method"]) == ("MUSHRA, 0+2+0", "L01", "mushra")
    assert sent["plan"] == {
        "require_100": False, "comments": True, "level_range_db": 4.0, "transducer": "loudspeakers",
        "transducers": ["loudspeakers"], "screening": False,
    }  # fmt: skip
    assert sent["audio"] == {"sample_rate_hz": 48000, "channels": 2}
    assert [channel["label"] for channel in sent["layout"]["channels"]] == ["M+030", "M-030"]
    assert sent["state"] == {"page": 0, "done": [], "pages": {}, "device": None, "level_db": 0.0}
    trials = [page for page in sent["pages"] if page["kind"] == "trial"]
    assert [page["item_number"] for page in trials] == [1, 2, 3, 4]
    assert {(page["items"], page["frames"], len(page["stimuli"])) for page in trials} == {(4, 4800, 4)}
    assert sent["language"] == "en"
    assert sent["texts"]["next"] == "Next"
    assert json.loads(json.dumps(sent)) == sent


def test_nothing_that_is_sent_tells_an_item_a_file_or_a_condition(listener, package, names):
    sent = json.dumps(listener.test.session(listener.name)).lower()
    session = json.loads((package / "session.json").read_text())
    secrets = [*names, *(name for stimuli in names.values() for name in stimuli), "reference.wav", str(package)]
    secrets += [digest for item in session["items"] for digest in item["digests"].values()]
    for secret in (*secrets, "href", "opus", "prop"):
        assert str(secret).lower() not in sent


def ids_of(sent):
    ids = list(sent["signals"].values())
    for page in sent["pages"]:
        ids += [page["reference"]] if page.get("reference") else []
        ids += page.get("stimuli", [])
    return ids


def test_file_ids_are_never_used_twice_and_lead_to_the_right_files(opened, listen, package, names):
    test = opened("replicates = 2")
    every = []
    for listener in (listen(test), listen(test)):
        sent = test.session(listener.name)
        every += ids_of(sent)
        pages = test._raters[listener.name].session.pages
        for page, told in zip(pages, sent["pages"], strict=True):
            if page.trial:
                folder = package / "audio" / page.trial.item
                assert test.audio_file(listener.name, told["reference"]) == folder / "reference.wav"
                for slot, name in zip(told["stimuli"], page.trial.slots, strict=True):
                    assert test.audio_file(listener.name, slot) == folder / f"{name}.wav"
                    assert name in names[page.trial.item]
        for name, sent_id in sent["signals"].items():
            assert test.audio_file(listener.name, sent_id) == package / "signals" / f"{name}.wav"
    assert len(set(every)) == len(every)
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in every)


@pytest.mark.parametrize("file_id", ["", "../key.json", "x" * 32, "0" * 32, "reference"])
def test_unknown_file_ids_lead_nowhere(listener, file_id):
    assert listener.test.audio_file(listener.name, file_id) is None


def test_a_listener_cannot_hear_the_files_of_another(opened, listen):
    test = opened()
    first, second = listen(test), listen(test)
    assert test.audio_file(second.name, first.pages[-3]["reference"]) is None


def test_tokens(opened, listen):
    test = opened()
    listener = listen(test)
    link = test.overview()[0]["link"]
    token = link.split("/")[1]
    assert link == f"t/{token}/"
    assert len(token) >= 32
    assert test.listener_of(token) == listener.name
    assert test.listener_of(token[:-1]) is None
    assert test.listener_of("") is None
    assert test.listener_of(test.desk_token) is None
    assert test.is_desk(test.desk_token)
    assert not test.is_desk(token)
    assert not test.is_desk("é")
    assert test.listener_of("é") is None


def test_the_language_is_the_one_that_was_asked_for_or_chosen(opened, listen, tmp_path):
    english = listening_test.load_texts(["en"])["en"]
    (tmp_path / "sv.toml").write_text("\n".join(f"{key} = '{key}'" for key in english))
    test = opened('languages = ["en", "sv"]\ntexts = ["sv.toml"]')
    listener = listen(test)
    assert test.session(listener.name, "sv")["texts"]["next"] == "next"
    assert test.session(listener.name, "xx")["language"] == "en"
    listener.send([listener.event("language", 0, language="sv")])
    sent = test.session(listener.name)
    assert (sent["language"], sent["languages"]) == ("sv", {"en": "English", "sv": "language"})


# --------------------------------------------------------------------------------------------------- windows


def test_windows(opened, monkeypatch):
    test = opened()
    name = test.add_listener()
    now = [1000.0]
    monkeypatch.setattr(active_listener.time, "monotonic", lambda: now[0])
    assert test.open_window(name, "a") == Opened("a", 0)
    assert test.open_window(name, "a") == Opened("a", 0)  # a reload
    now[0] += 3.2
    assert test.open_window(name, "b") == Elsewhere(pytest.approx(3.2))
    assert test.open_window(name, "b", take_over=True) == Opened("b", 0)
    assert test.append(name, "a", [event(1)]) == Elsewhere(pytest.approx(0.0))
    assert test.poll(name, "a")["elsewhere"] is True
    assert test.poll(name, "b")["elsewhere"] is False
    now[0] += 14.9
    assert isinstance(test.open_window(name, "c"), Elsewhere)
    test.poll(name, "b")
    now[0] += 14.9
    assert isinstance(test.open_window(name, "c"), Elsewhere)
    now[0] += 0.2
    assert test.open_window(name, "c") == Opened("c", 0)
    assert test.append(name, "c", [event(1)]) == Stored(1)
    assert test.open_window(name, "b", take_over=True) == Opened("b", 0)
    assert test.append(name, "b", [event(1), event(2)]) == Stored(2)
    assert test.open_window(name, "c", take_over=True) == Opened("c", 1)


def event(seq, page=0, kind="language", at_ms=1000, **fields):
    return {"seq": seq, "at_ms": at_ms, "type": kind, "page": page} | (
        {"language": "en"} if kind == "language" else fields
    )


def test_a_window_that_was_never_opened_stores_nothing(opened, tmp_path):
    test = opened()
    name = test.add_listener()
    assert isinstance(test.append(name, "a", [event(1)]), Elsewhere)
    assert rows(tmp_path, "event") == []


def test_after_a_restart_the_window_goes_on(opened):
    test = opened()
    name = test.add_listener()
    test.open_window(name, "a")
    test.append(name, "a", [event(1)])
    test.close()
    test = opened()
    assert test.append(name, "a", [event(1), event(2)]) == Stored(2)
    test.close()
    test = opened()
    assert test.open_window(name, "b") == Opened("b", 0)  # nobody was seen since the start


# ---------------------------------------------------------------------------------------------------- events


def test_events_are_stored_once_and_without_gaps(opened, tmp_path):
    test = opened()
    name = test.add_listener()
    test.open_window(name, "w")
    assert test.append(name, "w", []) == Stored(0)
    assert test.append(name, "w", [event(1), event(2)]) == Stored(2)
    assert test.append(name, "w", [event(1), event(2), event(3)]) == Stored(3)
    assert test.append(name, "w", [event(2)]) == Stored(3)
    assert test.append(name, "w", [event(5)]) == Gap(3)
    assert test.append(name, "w", [event(4), event(6)]) == Gap(4)
    assert test.append(name, "w", [event(5), event(5), event(6)]) == Stored(6)
    assert [row["seq"] for row in rows(tmp_path, "event")] == [1, 2, 3, 4, 5, 6]


def test_an_event_that_cannot_be_ends_its_batch_and_can_be_replaced(opened, tmp_path):
    test = opened()
    name = test.add_listener()
    test.open_window(name, "w")
    wrong = event(2, kind="rate", slot=1, score=3)
    assert test.append(name, "w", [event(1), wrong, event(3)]) == Refused("page 0 (welcome) has no stimuli", 1)
    for strange in (None, 3, [], {}, {"seq": "2"}, {"seq": True}, {"seq": 0}, {"seq": 2.0}):
        outcome = test.append(name, "w", [strange])
        assert outcome == Refused("an event is an object with seq, a number from 1", 1)
    assert test.append(name, "w", [event(2)]) == Stored(2)
    assert [row["type"] for row in rows(tmp_path, "event")] == ["language", "language"]


def test_one_transaction_holds_many_listeners_and_each_has_an_outcome(opened, tmp_path):
    test = opened()
    names = [test.add_listener() for _ in range(4)]
    for name in names:
        test.open_window(name, "w")
    test.withdraw(names[3])
    outcomes = test.append_many(
        [
            (names[0], "w", [event(1)]),
            (names[1], "w", [event(2)]),
            (names[2], "other", [event(1)]),
            (names[3], "w", [event(1)]),
            (names[0], "w", [event(1), event(2)]),
        ]
    )
    assert [type(one) for one in outcomes] == [Stored, Gap, Elsewhere, Withdrawn, Stored]
    assert outcomes[4] == Stored(2)
    stored = rows(tmp_path, "event")
    assert [(row["listener"], row["seq"]) for row in stored] == [("L01", 1), ("L01", 2)]


def test_the_state_after_a_restart_is_the_state_before(opened, listen):
    test = opened("require_100 = false\nreplicates = 2")
    listener = listen(test)
    listener.finish(until="end", comment="ä & + % \" ' < > 😀\n=1")
    before = test.session(listener.name)
    test.close()
    assert opened("require_100 = false\nreplicates = 2").session(listener.name) == before


def test_any_division_into_batches_with_resends_gives_one_database(opened, listen, tmp_path):
    """The same events in one batch, and in random pieces that overlap, are sent again, or come too early."""
    whole = opened(database="whole.sqlite")
    listener = listen(whole)
    events = listener.finish()
    for seed in range(5):
        pieces = opened(database=f"pieces-{seed}.sqlite")
        name = pieces.add_listener()
        pieces.open_window(name, "w")
        rng, stored = random.Random(seed), 0
        while stored < len(events):
            start = rng.randint(0, min(stored + 2, len(events) - 1))
            outcome = pieces.append(name, "w", events[start : start + rng.randint(1, 9)])
            assert isinstance(outcome, Gap if start > stored else Stored)
            assert outcome.stored >= stored
            stored = outcome.stored
        assert pieces.session(name)["state"] == whole.session(listener.name)["state"]
        queries = (
            "SELECT seq, at_ms, type, page, body FROM event ORDER BY id",
            "SELECT item, stimulus, score, moved, plays, listen_ms, time_ms, first_ms, last_ms, trial FROM rating",
        )
        for query in queries:
            found = []
            for path in (tmp_path / "whole.sqlite", tmp_path / f"pieces-{seed}.sqlite"):
                with sqlite3.connect(path) as database:
                    found.append(database.execute(query).fetchall())
                database.close()
            assert len(found[0]) > 0
            assert found[0] == found[1]


def test_fifty_threads_at_once_keep_every_order(opened, tmp_path):
    test = opened()
    names = [test.add_listener() for _ in range(50)]
    faults = []

    def rate(name):
        test.open_window(name, "w")
        for seq in range(1, 21):
            if test.append(name, "w", [event(seq)]) != Stored(seq):
                faults.append((name, seq))

    threads = [threading.Thread(target=rate, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    stored = rows(tmp_path, "event")
    assert len(stored) == 50 * 20
    for name in names:
        assert [row["seq"] for row in stored if row["listener"] == name] == list(range(1, 21))


# ------------------------------------------------------------------------------------------------------ desk


def test_overview_of_where_everybody_is(opened, listen):
    test = opened()
    first, second = listen(test), listen(test)
    first.finish(until="trial")
    first.send(first.page_events(8))
    (one, two), link = test.overview(), f"t/{test._raters['L01'].row.token}/"
    assert one.pop("last_seen") > 1_700_000_000_000
    assert one == {
        "listener": "L01", "link": link, "page": 9, "pages": 14, "kind": "trial", "trials_done": 1, "trials": 4,
        "time_left_s": 33, "underruns": 0, "transducer": "loudspeakers", "level_db": 0.0, "paused": False,
        "withdrawn": None, "finished": False,
        "device": {
            "transducer": "loudspeakers", "max_channels": 2, "output_map": [0, 1], "browser": "Chromium 156",
        },
    }  # fmt: skip
    assert (two["kind"], two["trials_done"], two["time_left_s"], two["device"]) == ("welcome", 0, None, None)
    second.finish()
    assert test.overview()[1]["finished"]
    assert test.overview()[1]["time_left_s"] == 0


def test_pause_is_told_and_kept_and_refuses_nothing(opened, listen):
    test = opened()
    listener = listen(test)
    test.pause(True)
    assert test.poll(listener.name, "w")["paused"]
    listener.send([listener.event("page", 0)])
    test.close()
    test = opened()
    assert test.overview()[0]["paused"]
    test.pause(False)
    assert not test.poll(listener.name, "w")["paused"]


def test_a_withdrawn_listener_stores_nothing_more_and_nothing_of_him_is_lost(opened, listen, tmp_path):
    test = opened()
    listener = listen(test)
    listener.finish(until="comments")
    before = rows(tmp_path), rows(tmp_path, "event")
    test.withdraw(listener.name, "fell asleep")
    assert test.append(listener.name, "w", [listener.event("page", 0)]) == Withdrawn()
    assert test.open_window(listener.name, "v", True) == Withdrawn()
    assert test.poll(listener.name, "w")["withdrawn"]
    assert (rows(tmp_path), rows(tmp_path, "event")) == before
    assert rows(tmp_path, "listener")[0]["note"] == "fell asleep"
    test.close()
    assert opened().poll(listener.name, "w")["withdrawn"]


def test_a_listener_can_store_only_so_much_and_the_others_all(opened, listen, tmp_path, monkeypatch):
    test = opened()
    flooding, other = listen(test), listen(test)
    event = {"seq": 1, "at_ms": 1_790_000_000_000, "type": "page", "page": 0}
    monkeypatch.setattr(listening_test, "MAX_CHARACTERS", 3 * len(json.dumps(event)))
    sent = [event | {"seq": seq} for seq in (1, 2, 3, 4)]
    outcome = test.append(flooding.name, "w", sent)
    assert isinstance(outcome, TooMuch)
    assert f"L01 has sent {3 * len(json.dumps(event))} characters" in outcome.why
    assert [row["seq"] for row in rows(tmp_path, "event")] == [1, 2, 3]
    assert test.append(other.name, "w", sent[:3]) == Stored(3)
    assert test.append(flooding.name, "w", sent[:3]) == Stored(3)
    test.close()
    assert isinstance(opened().append(flooding.name, "w", sent), TooMuch)  # counted anew from the database
    assert len(rows(tmp_path, "event")) == 6


def test_a_listener_opens_only_so_many_windows(opened, listen, tmp_path, monkeypatch):
    monkeypatch.setattr(listening_test, "MAX_WINDOWS", 3)
    test = opened()
    name = test.add_listener()
    assert [test.open_window(name, window, True) for window in "abc"] == [Opened(window, 0) for window in "abc"]
    assert test.open_window(name, "d", True) == TooMuch("L01 has opened 3 windows, more than any session has")
    assert test.open_window(name, "a", True) == Opened("a", 0)
    assert [row["window"] for row in rows(tmp_path, "window")] == ["a", "b", "c"]


def test_the_title_of_a_package_is_that_of_mushra_only(opened, tmp_path):
    shown = {}
    for method in ("mushra", "bs1116", "ab", "abx"):
        test = opened(f'method = "{method}"', database=f"{method}.sqlite")
        shown[method] = test.session(test.add_listener())["title"]
    assert shown == {"mushra": "MUSHRA, 0+2+0", "bs1116": "", "ab": "", "abx": ""}
    test = opened('method = "ab"\ntitle = "Codecs"', database="named.sqlite")
    assert test.session(test.add_listener())["title"] == "Codecs"


def test_more_listeners_than_orders_are_told_to_the_desk(opened):
    test = opened()
    for _ in range(8):
        test.add_listener()
    assert test.notes == []
    assert test.add_listener() == "L09"
    assert "orders of presentation for 8 listeners; from L09 on" in test.notes[0]


# ----------------------------------------------------------------------------------------- what cannot be opened


def test_a_database_of_another_plan_or_package_is_refused_and_not_touched(opened, tmp_path, write_package):
    opened().close()
    before = (tmp_path / "results.sqlite").read_bytes()
    with pytest.raises(InputError, match="results of another test"):
        opened("replicates = 2")
    other = write_package(tmp_path / "other", listeners=4)
    with pytest.raises(InputError, match="results of another test"):
        ListeningTest.open(other, tmp_path / "results.sqlite")
    assert (tmp_path / "results.sqlite").read_bytes() == before
    opened().close()


def test_a_setting_that_is_the_default_makes_no_other_test(opened):
    opened().close()
    assert opened('method = "mushra"\nreplicates = 1\nlevel_range_db = 4').overview() == []


def test_wording_may_change_while_a_test_runs(opened, tmp_path):
    opened('texts = ["en.toml"]' if (tmp_path / "en.toml").exists() else "").close()
    (tmp_path / "en.toml").write_text('next = "Go on"')
    test = opened('texts = ["en.toml"]')
    assert test.session(test.add_listener())["texts"]["next"] == "Go on"


def test_a_plan_that_does_not_fit_the_package_makes_no_database(opened, tmp_path):
    for plan, message in (
        ('method = "ab"\npairs = [["opus", "prop"]]', "need the key"),
        ('transducer = "headphones"', "holds no rendition for headphones"),
        ('training = ["Moon"]', "no such item: 'Moon'"),
        ('languages = ["xx"]', "'xx' has no texts"),
    ):
        with pytest.raises(InputError, match=message):
            opened(plan)
    assert not (tmp_path / "results.sqlite").exists()


def test_the_key_that_decides_the_trials_belongs_to_the_test(opened):
    opened('method = "bs1116"', key=True).close()
    with pytest.raises(InputError, match="results of another test"):
        opened('method = "bs1116"')


# ------------------------------------------------------------------------------------------------ transducers


def test_headphones_have_their_own_files_layout_and_session(both, tmp_path, listen):
    test = ListeningTest.open(both, tmp_path / "results.sqlite")
    listener = listen(test)
    sent = test.session(listener.name)
    assert (sent["plan"]["transducer"], sent["plan"]["transducers"]) == (
        "loudspeakers",
        ["loudspeakers", "headphones"],
    )
    reference = next(page["reference"] for page in sent["pages"] if page["kind"] == "trial")
    assert "audio" in test.audio_file(listener.name, reference).parts
    listener.finish(until="comments", transducer="headphones")
    sent = test.session(listener.name)
    assert (sent["plan"]["transducer"], sent["layout"]["name"]) == ("headphones", "binaural")
    path = test.audio_file(listener.name, reference)
    assert path.relative_to(both).parts[0] == "headphones"
    assert test.audio_file(listener.name, sent["signals"]["tone"]) == both / "signals/headphones/tone.wav"
    back = listener.event("device", 2, transducer="loudspeakers")
    assert "cannot change any more" in test.append(listener.name, "w", [back]).why
    other = listen(test)
    other.finish(until="comments")
    found = rows(tmp_path)
    assert {(row["listener"], row["session"], row["transducer"], row["layout"]) for row in found} == {
        ("L01", "0+2+0-headphones", "headphones", "binaural"),
        ("L02", "0+2+0-loudspeakers", "loudspeakers", "0+2+0"),
    }
    played = {row["listener"]: row["stimulus_sha256"] for row in found if row["item"] == "Park"}
    assert played["L01"] != played["L02"]
    test.close()


def test_a_plan_for_headphones_offers_nothing_else(both, tmp_path, listen):
    plan = tmp_path / "plan.toml"
    plan.write_text('transducer = "headphones"')
    test = ListeningTest.open(both, tmp_path / "results.sqlite", plan)
    sent = test.session(listen(test).name)
    assert (sent["plan"]["transducers"], sent["layout"]["name"]) == (["headphones"], "binaural")
    assert isinstance(test.audio_file("L01", sent["signals"]["level"]), Path)
    test.close()
