"""Runs a module's ``main`` as a console command; a user's mistake is one line."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, TextIO

from absl import app, flags

from beam_pipelines.cli.words import printable
from beam_pipelines.errors import UsageError, UserError

_HELP = {'--help', '-help', '-?', '--helpshort', '--helpfull'}


def run_command(
    name: str, module_name: str, parse_flags: Callable[[list[str]], list[str]] = app.parse_flags_with_usage
) -> None:
    """Runs ``main(argv)`` of an absl program and exits with the status that it returns.

    A ``UserError`` or ``OSError`` ends the program with one line and status 1 or 2, Ctrl-C with one line and 130.

    absl shows the docstring and the flags of ``__main__`` under ``--help``. In an installed command ``__main__`` is a
    stub, so this gives it the docstring and the flags of the program.

    Parameters
    ----------
    name : the name of the command in its errors and its help.
    module_name : the program's module, already imported.
    parse_flags : parses the arguments and returns those that are not flags; may raise UserError.
    """
    _escape_what_cannot_be_printed()
    module = sys.modules[module_name]
    sys.modules['__main__'].__doc__ = module.__doc__
    # absl files the flags of a program started with -m under its file name.
    own_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0] if module_name == '__main__' else module_name)
    sys.argv[0] = name
    for flag in own_flags:
        flags.FLAGS.register_key_flag_for_module(name, flag)
    try:
        app.run(lambda argv: run_main(module.main, argv), flags_parser=parse_flags)
    except UserError as error:  # from parse_flags; run_main reports those of main
        sys.exit(_report(error))
    except SystemExit as end:
        # absl exits with status 1 after showing help.
        if end.code == 1 and not _HELP.isdisjoint(sys.argv):
            sys.exit(0)
        raise
    except KeyboardInterrupt:
        print(f'\n{sys.argv[0]}: interrupted', file=sys.stderr)
        sys.exit(130)


def run_main(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Calls ``main(argv)`` and returns its status; a user's mistake is printed as one line."""
    try:
        return main(argv)
    except UserError as error:
        return _report(error)
    except OSError as error:
        said = error.strerror or ' '.join(str(error).split())
        say(f'{error.filename}: {said}' if error.filename else said)
        return 1


def _escape_what_cannot_be_printed() -> None:
    """Lets no character end a command: consoles and files of Windows seldom take all of Unicode.

    Python already does so for standard error. An escape such as ``\\u2014`` keeps names apart; a ``?`` would not.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def _report(error: UserError) -> int:
    say(str(error))
    return error.exit_status


def say(message: str) -> None:
    """Prints a line to standard error under the command's name."""
    print(printable(f'{sys.argv[0]}: {message}'), file=sys.stderr)


def show(*lines: str) -> None:
    """Prints lines to standard output; what a terminal would act on is shown as an escape, see ``words.printable``."""
    print('\n'.join(printable(line) for text in lines for line in text.split('\n')), flush=True)


def refuse_arguments(argv: list[str]) -> None:
    """Raises UsageError if a command that takes only flags was given arguments."""
    if argv[1:]:
        raise UsageError(f'unexpected argument {argv[1]!r}')


@contextlib.contextmanager
def standard_error_redirected(target: BinaryIO) -> Iterator[TextIO]:
    """Sends standard error of this process and its child processes to a file while the block runs.

    Libraries and worker processes write there and would bury a one-line error.

    Yields
    ------
    The original standard error, for what the user should still see.
    """
    sys.stderr.flush()
    with open(os.dup(2), 'w', encoding='utf-8', errors='backslashreplace') as original:
        os.dup2(target.fileno(), 2)
        try:
            yield original
        finally:
            sys.stderr.flush()
            os.dup2(original.fileno(), 2)
