"""What a listener's browser can get says nothing of which stimulus is the hidden reference, or of any condition.

The key is known here only: blind name -> condition.
"""

import json
import re
from pathlib import Path

from listening.server import serving
from render.common.files import read_json, sha256

STATIC = Path(serving.__file__).with_name("static")


def trials(session):
    return [page for page in session["pages"] if page["kind"] in ("trial", "training")]


def without_date(answer):
    return [(name, value) for name, value in answer.headers if name != "date"]


def everything(client, link):
    """Every answer that a listener's page can get."""
    session = client.get(f"{link}api/session")
    answers = [client.get("/"), client.get(link), session, client.get(f"{link}api/poll?window=w"),
               client.get(f"{link}api/native"),
               client.post(f"{link}api/open", {"window": "w", "take_over": False}),
               client.post(f"{link}api/events", {"window": "w", "events": [{"seq": 1}]}),
               client.post(f"{link}api/events", {"window": "w", "events": [{"seq": 5}]}),
               client.get("/nothing")]  # fmt: skip
    for page in trials(session.json()):
        for identity in (page["reference"], *page["stimuli"]):
            for headers in ({}, {"Range": "bytes=0-99"}, {"Range": "bytes=99999999-"}):
                answers.append(client.get(f"{link}audio/{identity}", headers))
            answers.append(client.ask("HEAD", f"{link}audio/{identity}"))
    return answers


def test_all_files_of_a_trial_get_the_same_answer_but_for_their_sound(client, served, link, package):
    key = read_json(package.with_name("key.json"))
    for page in trials(client.get(f"{link}api/session").json()):
        paths = [served.test.audio_file("L01", identity) for identity in page["stimuli"]]
        assert sorted(key[path.parent.name][path.stem] for path in paths) == ["codec", "href", "lp35"]
        for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=7777-99999"}, {"Range": "bytes=-44"},
                        {"Range": "bytes=99999999-"}, {"Range": "bytes=0-1,3-4"}, {"If-None-Match": "*"},
                        {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
                        {"Accept-Encoding": "gzip, br"}):  # fmt: skip
            for method in ("GET", "HEAD", "POST", "OPTIONS"):
                answers = [client.ask(method, f"{link}audio/{identity}", headers=headers)
                           for identity in (page["reference"], *page["stimuli"])]  # fmt: skip
                first = answers[0]
                for answer in answers[1:]:
                    assert answer.status == first.status
                    assert without_date(answer) == without_date(first)
                    assert len(answer.body) == len(first.body)


def test_the_headers_of_the_sound_files_themselves_are_equal(client, link):
    for page in trials(client.get(f"{link}api/session").json()):
        files = [client.get(f"{link}audio/{identity}").body for identity in (page["reference"], *page["stimuli"])]
        heads = {file[: file.index(b"data") + 8] for file in files}
        assert len(heads) == 1


def test_nothing_that_can_be_had_names_an_item_a_file_a_condition_or_a_digest(client, served, link, package):
    session = read_json(package / "session.json")
    key = read_json(package.with_name("key.json"))
    words = {"lp35", "href", "hidden", "anchor", "codec", "3.5 khz", "3500", str(package), package.name,
             *served.test.package.items}  # fmt: skip
    for item in session["items"]:
        words |= {*item["stimuli"], *item["stimuli"].values(), *item["digests"].values(), item["material"]}
        words |= {sha256(package / path) for path in item["stimuli"].values()}
        words |= {name for names in key.values() for name in names}
    of_every_test = {path.read_bytes() for path in STATIC.rglob("*.*")}  # pages and programs, which know no test
    for answer in everything(client, link):
        said = json.dumps(answer.headers).encode()
        said += b"" if answer.body in of_every_test else answer.body
        if b'"texts"' in answer.body:  # the wording of the pages, which is the same for every test
            session = answer.json()
            assert session.pop("texts")
            said = json.dumps(session).encode()
        # addresses are drawn by chance, and one in a hundred sessions had a 3500 among them
        said = re.sub(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", b"", said)
        for word in words:
            assert word.lower().encode() not in said.lower(), (word, said[:300])


def test_a_file_has_another_address_on_every_page_and_for_every_listener(client, served):
    seen = []
    for row in served.test.overview():
        session = client.get(f"/{row['link']}api/session").json()
        for page in trials(session):
            seen += [page["reference"], *page["stimuli"]]
        seen += session["signals"].values()
    assert len(seen) == len(set(seen)) == 4 * (3 * 4 + 3)
    assert all(re.fullmatch("[0-9a-f]{32}", identity) for identity in seen)


def test_pages_of_a_session_differ_in_nothing_but_ids_and_numbers(client, link):
    """Numbers and addresses apart, the training and the trials of all items read alike."""
    found = {
        json.dumps(
            {name: value for name, value in page.items() if name not in ("reference", "stimuli", "item_number")}
        )
        for page in trials(client.get(f"{link}api/session").json())
        if page["kind"] == "trial"
    }
    assert len(found) == 1
