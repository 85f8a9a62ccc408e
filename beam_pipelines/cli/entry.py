"""Starts a console command, so that what happens while its modules are imported ends it in one line too.

This module imports nothing at once that takes time, or that an installation may lack.
"""

from __future__ import annotations

import importlib
import sys

_DISTRIBUTION = 'sero-spikes'
# Of the requirements that are imported under another name than they are installed by.
_MODULES = {'absl-py': 'absl', 'scikit-learn': 'sklearn'}


def start(name: str, module_name: str) -> None:
    """Runs ``run()`` of a command's module, which exits.

    Ctrl-C ends the command with one line and 130, a requirement of this package that is not installed with one and 1.

    Parameters
    ----------
    name : of the command, in its errors.
    module_name : of the command, not yet imported.
    """
    sys.argv[0] = name
    try:
        importlib.import_module(module_name).run()
    except KeyboardInterrupt:
        _end('interrupted', 130)
    except ModuleNotFoundError as error:
        if error.name not in _required_modules():
            raise
        _end(
            f'{error.name} is not installed, and this command needs the whole installation:'
            ' pip install -c constraints.txt . (see docs/install.md)',
            1,
        )


def _required_modules() -> set[str]:
    """Returns what the whole installation has, without extras; nothing if this package is not installed itself."""
    import importlib.metadata
    import re

    try:
        required = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    names = [re.split(r'[^\w.-]', line, maxsplit=1)[0] for line in required if 'extra ==' not in line]
    return {_MODULES.get(name, name.replace('-', '_')) for name in names}


def _end(line: str, status: int) -> None:
    # Without the rest of this package, which may be what could not be imported.
    print('\n' * (status == 130) + f'{sys.argv[0]}: {line}', file=sys.stderr)
    sys.exit(status)
