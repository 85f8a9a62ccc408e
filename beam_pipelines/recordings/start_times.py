"""When recordings started, as their files say it."""

from __future__ import annotations

import datetime

# Some programs write a two-digit year, a placeholder such as 1970-01-01, or another number altogether; pCLAMP is newer.
_FIRST_YEAR = 1980


def known_start(written: datetime.datetime | None) -> datetime.datetime | None:
    """Returns a time that a file has for its start; None if that is too early to be true."""
    return written if written is not None and written.year >= _FIRST_YEAR else None
