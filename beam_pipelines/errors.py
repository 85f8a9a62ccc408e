"""Errors caused by the user's input or machine: shown as one line, never as a traceback."""

from __future__ import annotations

import os

_MOST_CHARACTERS = 1_500


class UserError(Exception):
    """The user's input or machine does not allow what they asked for.

    ``cli.command.run_command`` prints it as one line and ends the program. Any other exception is a bug in this
    project and keeps its traceback.

    Parameters
    ----------
    problem : what is wrong and what to do about it; several lines are joined into one, and the middle of a very long
        one, as libraries make from damaged files, is left out.
    file : the file or folder at fault.
    field : the field, flag or record at fault.
    value : what the field holds.
    """

    exit_status = 1

    def __init__(
        self, problem: str, *, file: str | os.PathLike | None = None, field: str | None = None, value: object = None
    ):
        where = ' '.join([field or '', '' if value is None else repr(value)]).strip()
        named = [part for part in (None if file is None else os.fspath(file), where) if part]
        line = ' '.join(': '.join([*named, problem]).split())
        half = _MOST_CHARACTERS // 2
        super().__init__(line if len(line) <= _MOST_CHARACTERS else f'{line[:half]} ... {line[-half:]}')


class UsageError(UserError):
    """The arguments of a command do not fit together."""

    exit_status = 2
