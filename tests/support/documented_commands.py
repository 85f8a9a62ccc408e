"""The commands in the blocks of code of the pages, as a user would paste them."""

import dataclasses
import pathlib
import re
import shlex

from tests.support.places import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
_IN_BLOCK = re.compile(r'^(?: {4}|\t)(.*)$')
_FENCE = re.compile(r'^```(\w*)$')
_SHELL = {'sh', 'bash', 'shell', 'console'}
_PROGRAMS = ('tfds', 'make')
_ASSIGNMENT = re.compile(r'[A-Z_]+=')


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a page: its words without assignments before it, comments and the folder of the program."""

    page: str
    line: int
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return f'{self.page}:{self.line} {self.program}'


def commands_of(page: pathlib.Path) -> list[Command]:
    """Returns the commands of a page that start with one of our programs, ``tfds``, ``make`` or ``python -m``."""
    found = []
    for line, text in _lines_of_blocks(page.read_text(encoding='utf-8')):
        for part in re.split(r'&&|;| do ', text):
            words = _words(part)
            if words and (
                words[0].startswith('sero-') or words[0] in ('tfds', 'make') or words[:2] == ['python', '-m']
            ):
                found.append(Command(str(page.relative_to(ROOT)), line, tuple(words)))
    return found


def _lines_of_blocks(text: str) -> list[tuple[int, str]]:
    """Returns the lines of blocks with their numbers; lines that end in a backslash are joined."""
    lines: list[tuple[int, str]] = []
    fence, joined = None, False
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _FENCE.match(line):
            fence = match[1] or 'text' if fence is None else None
            continue
        indented = _IN_BLOCK.match(line)
        code = line if fence in _SHELL else indented[1] if fence is None and indented else None
        if code is None:
            joined = False
        elif joined:
            lines[-1] = (lines[-1][0], lines[-1][1].removesuffix('\\') + ' ' + code.strip())
            joined = code.endswith('\\')
        else:
            lines.append((number, code.strip()))
            joined = code.endswith('\\')
    return lines


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # prose in a block, such as an apostrophe
        return []
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    return [words[0].removeprefix('.venv/bin/'), *words[1:]] if words else []
