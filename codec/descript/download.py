"""Download a published checkpoint once, and hold whoever serves it to what was got then."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from codec.descript.weights import read_published
from render.common.errors import InputError
from render.common.files import read_record, record_path, sha256, whole_file, write_json
from render.common.progress import progress

MAX_BYTES = 1 << 31
_TIMEOUT_S = 30.0
_BLOCK = 1 << 20


def fetch_checkpoint(url: str, target: Path | None = None) -> Path:
    """Download a checkpoint and record its SHA-256 in ``<target>.json`` at the first time.

    The publisher gives no digests, so the first download is trusted as far as it can be read as a
    checkpoint of the codec; a later one must be the same. A file that is there already is not fetched
    again, but checked against its record.

    Parameters
    ----------
    url : str
        http or https.
    target : Path, optional
        The last part of the URL, in the current folder, by default.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError
        Without a network or with a server that fails (the message says what to do), if what comes is no
        checkpoint, or not the one that was recorded. Nothing is left behind then.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url}: no http or https address")
    target = target or Path(unquote(parts.path).rpartition("/")[2] or "weights.pth")
    record = read_record(target)
    known = record.get("sha256")
    if target.is_file():
        if known is None:
            raise InputError(f"{target}: exists, but no fetch recorded it; remove it or choose another -o")
        if sha256(target) != known:
            raise InputError(f"{target}: changed since it was fetched; remove it to fetch it again")
        return target
    with whole_file(target) as temporary:
        size = _download(url, temporary, target.name)
        digest = sha256(temporary)
        if known is not None and digest != known:
            raise InputError(
                f"{url}: no longer what it was: SHA-256 {digest}, at the first fetch {known}; refused. If the "
                f"change is right, remove {record_path(target)}"
            )
        _check_readable(temporary, url)
    if known is None:
        write_json(record_path(target), {"url": url, "bytes": size, "sha256": digest}, force=True)
    return target


def _check_readable(temporary: Path, url: str) -> None:
    """Refuse what is no checkpoint, e.g. the login page of a network."""
    try:
        read_published(temporary, sample_rate_hz=44_100)
    except InputError as error:
        reason = str(error).removeprefix(f"{temporary}: ")
        raise InputError(f"{url}: what came is no checkpoint of the codec ({reason})") from error


def _download(url: str, target: Path, name: str) -> int:
    """Write what the address serves; return its size."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310, the scheme was checked
            told = answer.headers.get("Content-Length", "")
            if not told.isascii() or not told.isdigit() or not 0 < int(told) <= MAX_BYTES:
                raise InputError(
                    f"{url}: the server announces {told or 'no'} bytes; up to {MAX_BYTES} are fetched"
                )
            size = int(told)
            with open(target, "wb") as file:
                for block in progress(_blocks(answer), f"fetching {name} (MiB)", -(-size // _BLOCK)):
                    file.write(block)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{url}: cannot be fetched ({reason}). Without a network: download it in another way, copy it here "
            "and give it to python -m codec.weights convert FILE -o OUT.safetensors"
        ) from error
    if target.stat().st_size != size:
        raise InputError(
            f"{url}: the connection broke off after {target.stat().st_size} of {size} bytes; try again"
        )
    return size


def _blocks(answer: Any) -> Iterator[bytes]:
    while block := answer.read(_BLOCK):
        yield block
