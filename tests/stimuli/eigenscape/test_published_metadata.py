"""MD5 sums and locations that are published with EigenScape."""

import hashlib

import pytest

from render.common.errors import InputError
from stimuli.eigenscape import published_metadata
from stimuli.eigenscape.corpus import CLASSES, Recording


def test_checksums(tmp_path, monkeypatch):
    published = published_metadata.published_md5()
    assert set(published) == {f"{name}.{number}" for name in CLASSES for number in range(1, 9)}
    assert all(len(value) == 32 for value in published.values())
    path = tmp_path / "Beach.1.wav"
    path.write_bytes(b"no recording")
    with pytest.raises(InputError, match=r"its MD5 is \w{32}, EigenScape's Beach\.1 has b199ddd2350c0516"):
        published_metadata.check_md5(Recording(path, "Beach", 1), path)
    right = published | {"Beach.1": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}
    monkeypatch.setattr(published_metadata, "published_md5", lambda: right)
    published_metadata.check_md5(Recording(path, "Beach", 1), path)
    published_metadata.check_md5(None, path)
