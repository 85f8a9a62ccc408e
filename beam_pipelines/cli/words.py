"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Returns ``1 cell``, ``2 cells``, ``1,000 cells``."""
    return f'{count:,} {noun}' if count == 1 else f'{count:,} {noun}s'
