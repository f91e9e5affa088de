"""A server with a small package, and a client that sends what it is given."""

import contextlib
import hashlib
import http.client
import json
import threading

import numpy as np
import pytest
import soundfile
import uvicorn

from listening.server import serving

ITEMS = {
    "Beach": {"1a1a1a1a": "href", "2b2b2b2b": "lp35", "3c3c3c3c": "codec"},
    "Park": {"4d4d4d4d": "codec", "5e5e5e5e": "href", "6f6f6f6f": "lp35"},
}
RATE_HZ, FRAMES = 48000, 36000


def write_package(folder):
    """A stereo package as listening.export writes it: two items, three stimuli each, four orders; and its key."""
    random = np.random.default_rng(1)
    (folder / "signals").mkdir(parents=True)
    for name in ("identification", "level", "tone"):
        soundfile.write(folder / "signals" / f"{name}.wav", random.normal(0, 0.1, (4800, 2)), RATE_HZ, "PCM_24")
    items = []
    for item, names in ITEMS.items():
        sound = random.normal(0, 0.1, (FRAMES, 2))
        (folder / "audio" / item).mkdir(parents=True)
        digests = {}
        for name, condition in {"reference": "href", **names}.items():
            path = folder / "audio" / item / f"{name}.wav"
            degraded = sound if condition == "href" else 0.9 * sound + random.normal(0, 0.01, sound.shape)
            soundfile.write(path, degraded, RATE_HZ, "PCM_24")
            digests[path.name] = hashlib.sha256(f"{item}/{path.name}\0".encode() + path.read_bytes()).hexdigest()
        items.append(
            {
                "id": item, "material": "synthetic noise", "frames": FRAMES, "loudness_gated": True,
                "reference": f"audio/{item}/reference.wav",
                "stimuli": {name: f"audio/{item}/{name}.wav" for name in names}, "digests": digests,
            }
        )  # fmt: skip
    orders = [
        {
            "listener": f"L{number:02}",
            "items": sorted(ITEMS, reverse=number % 2 == 0),
            "stimuli": {item: list(np.roll(sorted(names), number)) for item, names in ITEMS.items()},
        }
        for number in range(1, 5)
    ]
    loudspeakers = [
        {"label": f"M{azimuth:+04}", "azimuth_deg": float(azimuth), "elevation_deg": 0.0, "is_lfe": False}
        for azimuth in (30, -30)
    ]
    session = {
        "title": "MUSHRA, 0+2+0", "instruction": "Rate.",
        "training": {"instruction": "Listen.", "items": ["Park"]},
        "scale": {"Bad": [0, 20], "Poor": [20, 40], "Fair": [40, 60], "Good": [60, 80], "Excellent": [80, 100]},
        "layout": {"name": "0+2+0", "channel_order": "bs2051", "channels": loudspeakers},
        "audio": {"sample_rate_hz": RATE_HZ, "format": "24-bit WAV"},
        "signals": [f"signals/{name}.wav" for name in ("identification", "level", "tone")],
        "target_lufs": -26.0, "items": items, "orders": orders,
    }  # fmt: skip
    (folder / "session.json").write_text(json.dumps(session))
    folder.with_name("key.json").write_text(json.dumps(ITEMS))
    return folder


@pytest.fixture
def package(tmp_path):
    return write_package(tmp_path / "package-2.0")


class Answer:
    """Status, headers in the order in which they came, body."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.getheaders(), response.read()

    def __getitem__(self, name):
        return dict(self.headers)[name]

    def json(self):
        return json.loads(self.body)


class Client:
    """A client of the server at a port."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, headers=()):
        """Send what is given, untouched: no path is normalised, no header added but Host and the body's length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in dict(headers).items():
            connection.putheader(name, value)
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.putheader("Content-Length", str(len(body)))
        try:
            with contextlib.suppress(BrokenPipeError):  # a body may be refused before all of it is sent
                connection.endheaders(body)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=()):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body):
        return self.ask("POST", path, body)


@pytest.fixture
def served(package, tmp_path):
    """The test that `client` reaches. Its writer's thread would keep the process alive."""
    opened = serving.open_test(package, tmp_path / "results.sqlite", None, None, "http://127.0.0.1:8714/")
    yield opened
    opened.writer.close()
    opened.test.close()


@pytest.fixture
def client(served):
    accepting = serving.listen("127.0.0.1", 0)
    server = uvicorn.Server(serving.configuration(served, "127.0.0.1"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [accepting]})
    thread.start()
    yield Client(accepting.getsockname()[1])
    served.ending = server.should_exit = True
    thread.join()


@pytest.fixture
def link(served):
    """Address of the first listener's page."""
    return "/" + served.test.overview()[0]["link"]
