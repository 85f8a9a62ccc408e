"""Runs a module's ``main`` as a console command; a user's mistake is one line."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import BinaryIO, TextIO

from absl import app, flags

from beam_pipelines.cli.streams import STANDARD_OUTPUT, discard_standard_output, own_standard_streams
from beam_pipelines.cli.words import printable
from beam_pipelines.errors import UsageError, UserError

_STATUS_OF_BROKEN_PIPE = 141  # 128 + SIGPIPE, as of other programs

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
    own_standard_streams()
    # Google's libraries say so at their import on Python 3.10, beside the one line of an error.
    warnings.filterwarnings('ignore', 'You are using a (non-supported )?Python version', FutureWarning)
    if 'MPLBACKEND' in os.environ:  # A backend that is unknown or has no screen would end the command.
        os.environ['MPLBACKEND'] = 'agg'
    module = sys.modules[module_name]
    sys.modules['__main__'].__doc__ = module.__doc__
    # absl files the flags of a program started with -m under its file name.
    own_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0] if module_name == '__main__' else module_name)
    sys.argv[0] = name
    for flag in own_flags:
        flags.FLAGS.register_key_flag_for_module(name, flag)
    try:
        status = _status_of(module.main, parse_flags)
        sys.stdout.flush()
    except OSError as error:  # from standard output, because run_main reports all others
        status = _report_os_error(error)
    sys.exit(status)


def _status_of(main: Callable[[list[str]], int], parse_flags: Callable[[list[str]], list[str]]) -> int | str | None:
    """Runs a program and returns the status that it would exit with."""
    try:
        _check_docstrings()
        _check_given_once(sys.argv[1:])
        app.run(lambda argv: run_main(main, argv), flags_parser=parse_flags)
    except UserError as error:  # in the flags; run_main reports those of main
        return _report(error)
    except SystemExit as end:
        # absl exits with status 1 after showing help.
        return 0 if end.code == 1 and not _HELP.isdisjoint(sys.argv) else end.code
    except KeyboardInterrupt:
        # Libraries may take seconds to end, and would answer another Ctrl-C with a traceback: let it end the process.
        # It is set when Python ends and not here, because in a notebook the process goes on.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
        say('interrupted', on_new_line=True)
        return 130
    return 0


def _check_docstrings() -> None:
    """Raises UserError if Python has left out all docstrings: Beam and ``--help`` need them."""
    if sys.flags.optimize > 1:
        raise UserError('PYTHONOPTIMIZE=2 (python -OO) leaves out what Apache Beam and --help need: unset it')


def _check_given_once(arguments: list[str]) -> None:
    """Raises UsageError for a flag that is given twice: absl would take the last value without a word."""
    given: set[str] = set()
    for argument in itertools.takewhile(lambda argument: argument != '--', arguments):
        name = argument.partition('=')[0].lstrip('-') if argument.startswith('-') else ''
        if name.startswith('no') and name[2:] in flags.FLAGS:
            name = name[2:]
        field_of = name.partition('.')[0]  # --config.FIELD
        if field_of in flags.FLAGS and not isinstance(flags.FLAGS[field_of], flags.MultiFlag):
            if name in given:
                raise UsageError(f'--{name}: is given twice')
            given.add(name)


def run_main(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Calls ``main(argv)`` and returns its status; a user's mistake is printed as one line."""
    try:
        return main(argv)
    except UserError as error:
        return _report(error)
    except OSError as error:
        return _report_os_error(error)


def _report_os_error(error: OSError) -> int:
    if error.filename != STANDARD_OUTPUT:
        say(os_error_words(error))
        return 1
    discard_standard_output()
    if isinstance(error, BrokenPipeError):  # The reader has seen enough, as in `sero-verify data | head -1`.
        return _STATUS_OF_BROKEN_PIPE
    say(f'{STANDARD_OUTPUT}: {error.strerror}')
    return 1


def os_error_words(error: Exception) -> str:
    """Returns what went wrong in one line, with the file if it is known."""
    if not isinstance(error, OSError):
        return str(error)
    said = error.strerror or ' '.join(str(error).split())
    return f'{error.filename}: {said}' if error.filename else said


def _report(error: UserError) -> int:
    say(str(error))
    return error.exit_status


def say(message: str, on_new_line: bool = False) -> None:
    """Prints a line to standard error under the command's name.

    Parameters
    ----------
    message : the line.
    on_new_line : whether to leave the line that the cursor is on, such as that of ``^C``.
    """
    with contextlib.suppress(OSError):  # Nobody can be told.
        print('\n' * on_new_line + printable(f'{sys.argv[0]}: {message}'), file=sys.stderr)


def show(*lines: str) -> None:
    """Prints lines to standard output; what a terminal would act on is shown as an escape, see ``words.printable``."""
    print('\n'.join(printable(line) for text in lines for line in text.split('\n')), flush=True)


def refuse_arguments(argv: list[str]) -> None:
    """Raises UsageError if a command that takes only flags was given arguments."""
    if argv[1:]:
        raise UsageError(f'unexpected argument {argv[1]!r}')


def refuse_urls(*names: str) -> None:
    """Raises UsageError if a flag names a URL; only some flags take one, the others would make a folder ``gs:``."""
    for name in names:
        value = flags.FLAGS[name].value
        if value and '://' in value:
            raise UsageError(f'--{name}={value}: must be a folder of this machine')


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


@contextlib.contextmanager
def standard_error_kept_back() -> Iterator[None]:
    """Keeps back what libraries write to standard error while the block runs; it is shown if the block has a bug."""
    with tempfile.TemporaryFile() as log:
        try:
            with standard_error_redirected(log):
                yield
        except UserError:
            raise
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors='replace'))
            raise
