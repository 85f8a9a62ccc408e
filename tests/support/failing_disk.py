"""Console commands on a disk that is full or fails; see ``failing_disk.c``.

LD_PRELOAD=LIBRARY python -m tests.support.failing_disk TRIES.json RESULTS.json
"""

import dataclasses
import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys
import traceback

import pytest

from tests.support.commands import run_command, run_tfds
from tests.support.places import ROOT

_SOURCE = pathlib.Path(__file__).with_suffix('.c')


@dataclasses.dataclass(frozen=True)
class Try:
    """A command, and what fails while it runs.

    Attributes
    ----------
    command : its name and its arguments.
    path : how the real paths of the files begin whose calls fail.
    call : which calls, see ``failing_disk.c``.
    number : of the error.
    """

    command: list[str]
    path: str
    call: str
    number: int = errno.EIO

    def run(self) -> subprocess.CompletedProcess:
        """Runs the command in this process, which has the library loaded."""
        failing = {'PATH': self.path, 'CALL': self.call, 'ERRNO': str(self.number)}
        os.environ.update({f'FAILING_{name}': value for name, value in failing.items()})
        name, *arguments = self.command
        try:
            return run_tfds(*arguments, cwd=ROOT) if name == 'tfds' else run_command(name, *arguments)
        except Exception:
            return subprocess.CompletedProcess(self.command, -1, '', traceback.format_exc())
        finally:
            for name in failing:
                del os.environ[f'FAILING_{name}']


def run_all(tries: dict[str, Try], folder: pathlib.Path) -> dict[str, subprocess.CompletedProcess]:
    """Runs commands one after the other in one process, so that libraries are loaded once; skips without a compiler.

    Parameters
    ----------
    tries : by their names.
    folder : for the library and the results.
    """
    if sys.platform != 'linux' or not (compiler := shutil.which('cc')):
        pytest.skip('needs Linux and a C compiler')
    library = folder / 'failing_disk.so'
    subprocess.run([compiler, '-shared', '-fPIC', '-O1', '-o', library, _SOURCE, '-ldl'], check=True)
    asked, answered = folder / 'tries.json', folder / 'results.json'
    asked.write_text(json.dumps({name: dataclasses.asdict(each) for name, each in tries.items()}))
    subprocess.run(
        [sys.executable, '-m', 'tests.support.failing_disk', asked, answered],
        check=True,
        timeout=600,
        cwd=ROOT,
        env=os.environ | {'LD_PRELOAD': str(library)},
    )
    return {name: subprocess.CompletedProcess(*each) for name, each in json.loads(answered.read_text()).items()}


def main() -> None:
    """Runs the commands that a file names and writes what they said into another."""
    asked, answered = map(pathlib.Path, sys.argv[1:])
    results = {name: Try(**each).run() for name, each in json.loads(asked.read_text()).items()}
    answered.write_text(
        json.dumps(
            {name: [each.args, each.returncode, each.stdout, each.stderr] for name, each in results.items()},
            default=str,
        )
    )


if __name__ == '__main__':
    main()
