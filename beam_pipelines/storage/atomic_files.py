"""Text files that appear whole or not at all."""

from __future__ import annotations

import os


def write_whole(path: str, text: str) -> None:
    """Writes a file beside its place and moves it there."""
    temporary = f'{path}.tmp'
    with open(temporary, 'w', encoding='utf-8', newline='') as file:
        file.write(text)
    os.replace(temporary, path)
