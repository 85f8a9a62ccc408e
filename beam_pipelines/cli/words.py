"""Numbers in sentences, and text from outside on a screen."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Returns ``1 cell``, ``2 cells``, ``1,000 cells``."""
    return f'{count:,} {noun}' if count == 1 else f'{count:,} {noun}s'


def printable(text: str) -> str:
    """Returns a line in which all that a terminal would act on is shown as an escape, such as ``\\x1b``.

    That is control characters, line breaks, marks that turn the direction of writing, and parts of characters: what a
    file, its name or its header says could otherwise clear the screen, or look like a line of the command itself.
    """
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shortened(text: str, most: int) -> str:
    """Returns a text with at most so many characters; what is left out of its middle is shown as ``...``."""
    if len(text) <= most:
        return text
    half = (most - len(' ... ')) // 2
    return f'{text[:half]} ... {text[-half:]}'
