"""The database of ``listening.serve``: ratings of a test that has ended, or that still runs."""

from __future__ import annotations

APPLICATION_ID = 0x484F414C
"""Of the SQLite file ("HOAL"), by which the database is recognised."""

USER_VERSION = 1
