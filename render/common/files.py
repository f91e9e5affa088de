"""Files that are whole or absent, their digests and their sidecar records."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from render.common.errors import InputError


@contextmanager
def whole_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which becomes `path` only when the block ends without error.

    The file is flushed to the disk before it is renamed, so that neither a killed process nor a full
    disk leaves half a file under the final name. Temporary files of killed
    processes are removed at the next write.

    Raises
    ------
    InputError
        If `path` is a folder or a device, or if it exists with other content and `force` is not set, since results
        are never overwritten silently. The same content is accepted, so every command may be repeated.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, but a file is to be written there; choose another name")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is a device or a pipe, but an ordinary file is to be written there")
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{_glob_escaped(path.stem)}.part-*"):
        if not _running(stale):
            stale.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if path.exists() and not force and sha256(path) != sha256(temporary):
            raise InputError(f"{path}: exists and differs from what would be written; remove it or use --force")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _glob_escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _running(temporary: Path) -> bool:
    """Whether another living process writes `temporary`; its process number is part of the name."""
    number = temporary.name.rpartition(".part-")[2].split(".")[0]
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    try:
        # A killed process keeps its number until its parent has waited for it (Linux: state Z)
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        state = "?"
    return state != "Z" and int(number) != os.getpid()


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read block by block."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical form: the key of a build step."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_json(path: Path, value: Any, force: bool = False) -> None:
    """Write a JSON file atomically, keys in the given order, never NaN."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path, force=force) as temporary:
        # A file name that is not UTF-8 contains lone surrogates; escaped with a backslash they are valid JSON
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If it is not valid JSON in UTF-8; the message gives file, line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); is it the right file?") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a tower of brackets
        raise InputError(f"{path}: JSON with values that are not supported ({error})") from None


def read_record(path: Path) -> dict[str, Any]:
    """Read the sidecar record of a file; return an empty one if there is none or it is not a record."""
    record = record_path(path)
    try:
        content = read_json(record) if record.is_file() else {}
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}


def record_path(path: Path) -> Path:
    """Path of the sidecar record of a file: ``x.wav`` -> ``x.wav.json``."""
    return path.with_name(path.name + ".json")


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, to record what a result depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in packages}
