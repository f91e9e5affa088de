"""Download a published checkpoint, and refuse any later download that differs from the first one."""

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
    """Download a checkpoint and, the first time, record its SHA-256 in ``<target>.json``.

    The publisher states no digests, so the first download is trusted if it can be read as a checkpoint of the
    codec, and any later one must be the same. An existing file is not downloaded again, but compared with the
    recorded digest.

    Parameters
    ----------
    url : str
        http or https.
    target : Path, optional
        By default the last part of the URL, in the current folder.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError
        If there is no network or the server fails (the message says what to do), or if the download is not a
        checkpoint or not the one that was recorded. Nothing is left behind then.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url}: not an http or https address")
    target = target or Path(unquote(parts.path).rpartition("/")[2] or "weights.pth")
    record = read_record(target)
    known = record.get("sha256")
    if target.is_file():
        if known is None:
            raise InputError(f"{target}: exists without the record of a download; remove it or choose another -o")
        if sha256(target) != known:
            raise InputError(f"{target}: was changed after its download; remove it to download it again")
        return target
    with whole_file(target) as temporary:
        size = _download(url, temporary, target.name)
        digest = sha256(temporary)
        if known is not None and digest != known:
            raise InputError(
                f"{url}: its content has changed: SHA-256 {digest}, at the first download {known}; refused. If "
                f"the change is intended, remove {record_path(target)}"
            )
        _check_readable(temporary, url)
    if known is None:
        write_json(record_path(target), {"url": url, "bytes": size, "sha256": digest}, force=True)
    return target


def _check_readable(temporary: Path, url: str) -> None:
    """Refuse anything but a checkpoint, such as the login page of a network."""
    try:
        read_published(temporary, sample_rate_hz=44_100)
    except InputError as error:
        reason = str(error).removeprefix(f"{temporary}: ")
        raise InputError(f"{url}: the download is not a checkpoint of the codec ({reason})") from error


def _download(url: str, target: Path, name: str) -> int:
    """Write what the server sends to `target`, and return its size in bytes."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310, the scheme was checked
            length = answer.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit() or not 0 < int(length) <= MAX_BYTES:
                raise InputError(f"{url}: the server announces {length or 'no'} bytes; the maximum is {MAX_BYTES}")
            size = int(length)
            with open(target, "wb") as file:
                for block in progress(_blocks(answer), f"fetching {name} (MiB)", -(-size // _BLOCK)):
                    file.write(block)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{url}: the download failed ({reason}). Without a network, copy the file here from another machine "
            "and give it to python -m codec.weights convert FILE -o OUT.safetensors"
        ) from error
    if target.stat().st_size != size:
        raise InputError(
            f"{url}: the connection was lost after {target.stat().st_size} of {size} bytes; try again"
        )
    return size


def _blocks(answer: Any) -> Iterator[bytes]:
    while block := answer.read(_BLOCK):
        yield block
