"""Runs a module's ``main`` as a console command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from absl import app, flags

_HELP = {'--help', '-help', '-?', '--helpshort', '--helpfull'}


def run_command(module_name: str, parse_flags: Callable[[list[str]], list[str]] = app.parse_flags_with_usage) -> None:
    """Runs ``main(argv)`` of an absl program and exits with what it returns; Ctrl-C ends it with one line.

    absl shows the docstring and the flags of ``__main__`` under ``--help``, which in an installed command is a stub: it
    is given those of the program.

    Parameters
    ----------
    module_name : the program's module, imported already.
    parse_flags : parses the arguments and returns those that are no flags.
    """
    module = sys.modules[module_name]
    sys.modules['__main__'].__doc__ = module.__doc__
    for flag in flags.FLAGS.get_key_flags_for_module(module_name):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    try:
        app.run(module.main, flags_parser=parse_flags)
    except SystemExit as end:
        # absl ends with 1 when it has shown the help that was asked for.
        if end.code == 1 and not _HELP.isdisjoint(sys.argv):
            sys.exit(0)
        raise
    except KeyboardInterrupt:
        print(f'\n{os.path.basename(sys.argv[0])}: interrupted', file=sys.stderr)
        sys.exit(130)
