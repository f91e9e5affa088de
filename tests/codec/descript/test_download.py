"""Fetching a checkpoint from a real server on this machine: complete, recorded, unchanged or refused."""

import http.server
import sys
import threading
from pathlib import Path

import pytest

from codec import weights
from codec.checkpoints.model_file import load
from codec.descript.download import fetch_checkpoint
from render.common.errors import InputError
from render.common.files import read_json, sha256

CHECKPOINT = (Path(__file__).parents[2] / "golden" / "dac" / "mono.pth").read_bytes()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every address; `announced` is the length it tells, if it is another."""

    content, announced, requests = CHECKPOINT, None, 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.path == "/moved/w.pth":
            self.send_response(302)
            self.send_header("Location", "/w.pth")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/missing.pth" else 200)
        announced = self.server.announced
        if announced != "":
            self.send_header("Content-Length", str(len(self.server.content) if announced is None else announced))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


def test_the_first_fetch_is_recorded_and_the_second_needs_no_network(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    target = fetch_checkpoint(f"{server.url}/moved/w.pth")
    assert target == Path("w.pth")
    assert target.read_bytes() == CHECKPOINT
    assert read_json(Path("w.pth.json")) == {
        "url": f"{server.url}/moved/w.pth", "bytes": len(CHECKPOINT), "sha256": sha256(target),
    }  # fmt: skip
    assert "fetching w.pth" in capsys.readouterr().err
    requests = server.requests
    assert fetch_checkpoint(f"{server.url}/moved/w.pth") == target
    assert server.requests == requests


def test_a_later_change_at_the_server_or_here_is_refused(server, tmp_path):
    target, url = tmp_path / "w.pth", f"{server.url}/w.pth"
    fetch_checkpoint(url, target)
    target.write_bytes(CHECKPOINT[:-1])
    with pytest.raises(InputError, match="changed after its download"):
        fetch_checkpoint(url, target)
    target.unlink()
    # still a checkpoint that can be read, but another: one byte of the archive's comment
    server.content = CHECKPOINT[:-2] + b"\x01\x00x"
    with pytest.raises(InputError, match="its content has changed"):
        fetch_checkpoint(url, target)
    assert not target.exists()
    server.content = CHECKPOINT
    assert fetch_checkpoint(url, target).read_bytes() == CHECKPOINT


@pytest.mark.parametrize(
    ("content", "announced", "message"),
    [
        (CHECKPOINT[:5000], len(CHECKPOINT), "was lost after 5000 of"),
        (b"<html>please log in</html>", None, "not a checkpoint of the codec"),
        (CHECKPOINT, 2**40, "announces 1099511627776 bytes"),
        (CHECKPOINT, "", "announces no bytes"),
        (CHECKPOINT, -5, "announces -5 bytes"),
    ],
)
def test_bad_answers_leave_nothing(server, tmp_path, content, announced, message):
    server.content, server.announced = content, announced
    with pytest.raises(InputError, match=message):
        fetch_checkpoint(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_and_a_missing_network_tell_what_to_do(server, tmp_path):
    with pytest.raises(InputError, match=r"Not Found.*copy the file here"):
        fetch_checkpoint(f"{server.url}/missing.pth", tmp_path / "w.pth")
    with pytest.raises(InputError, match="Without a network"):
        fetch_checkpoint("http://127.0.0.1:9/w.pth", tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/w.pth", "w.pth", "http:///w.pth"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(InputError, match="not an http or https"):
        fetch_checkpoint(url, tmp_path / "w.pth")


def test_files_of_the_user_are_not_touched(server, tmp_path):
    (tmp_path / "w.pth").write_text("mine")
    with pytest.raises(InputError, match="without the record of a download"):
        fetch_checkpoint(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_text() == "mine"


def test_the_default_is_the_published_16_kbps_model():
    assert weights.PUBLISHED_URL.endswith("/1.0.0/weights_44khz_16kbps.pth")


def test_command_line_from_the_address_to_a_model(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["fetch", "--url", f"{server.url}/w.pth"], ["convert", "w.pth", "-o", "m.safetensors"]):
        monkeypatch.setattr(sys, "argv", ["weights", *words])
        weights.main()
    output = capsys.readouterr().out
    assert "w.pth: fetched; next: python -m codec.weights convert w.pth" in output
    assert "m.safetensors: 8705 parameters, 110250.0 bit/s" in output
    model, _ = load(Path("m.safetensors"))
    assert model.config.channels == 1
    # the card tells the address, not only the name of the file
    assert read_json(Path("m.json"))["origin"] == f"{server.url}/w.pth"
