"""Behind a reverse proxy under a path: the prefix stripped or kept, every address relative."""

import http.client
import http.server
import re
import threading
from urllib.parse import urljoin, urlsplit

import pytest
import uvicorn

from listening.server import serving


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes on what lies under /listening; `keeps` says whether the prefix stays."""

    behind, keeps = 0, False

    def do_GET(self):
        if not self.path.startswith("/listening/"):
            self.send_error(404)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=10)
        connection.request("GET", self.path if self.keeps else self.path.removeprefix("/listening"),
                           headers={"Host": "lab.example"})  # fmt: skip
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("date", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(params=["stripped", "kept"])
def proxied(request, package, tmp_path):
    """Port of a proxy before a server with a public address, and the served test."""
    url = "https://lab.example/listening/"
    served = serving.open_test(package, tmp_path / "results.sqlite", None, None, url)
    accepting = serving.listen("127.0.0.1", 0)
    server = uvicorn.Server(serving.configuration(served, "127.0.0.1"))
    threads = [threading.Thread(target=server.run, kwargs={"sockets": [accepting]})]
    handler = type("Handler", (Proxy,), {"behind": accepting.getsockname()[1], "keeps": request.param == "kept"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threads.append(threading.Thread(target=proxy.serve_forever))
        for thread in threads:
            thread.start()
        yield proxy.server_port, served
        proxy.shutdown()
    served.ending = server.should_exit = True
    for thread in threads:
        thread.join()


def get(port, url):
    """Status, headers and body of a public address, asked of the proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", urlsplit(url).path)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_pages_scripts_session_and_sound_are_found_under_the_prefix(proxied):
    port, served = proxied
    for link, needed in zip(serving.links(served), ("api/session", "api/overview"), strict=True):
        assert link.startswith("https://lab.example/listening/")
        status, _, page = get(port, link)
        assert status == 200
        named = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.decode())
        assert named
        for address in (*named, needed):
            # 422: there are no ratings yet of which a table could be made
            assert get(port, urljoin(link, address))[0] in (200, 422), address
        status, headers, _ = get(port, link.rstrip("/"))
        assert status == 308
        assert urljoin(link.rstrip("/"), headers["location"]) == link
    listener = serving.links(served)[0]
    file = next(iter(served.test.session("L01")["signals"].values()))
    assert get(port, urljoin(listener, f"audio/{file}"))[2] == served.test.audio_file("L01", file).read_bytes()


def test_no_page_or_script_has_an_address_that_begins_at_the_root_or_elsewhere(proxied):
    _, served = proxied
    for name, file in served.static.items():
        found = re.findall(
            rb"""(?:src=|href=|fetch\(|import |from |url\()\s*["'`(]?\s*(/[^/*\s]|https?:)""", file.content
        )
        assert not found, (name, found)
