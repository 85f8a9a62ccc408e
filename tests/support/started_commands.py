"""Commands that are started in order to be killed, without the seconds in which each would load its libraries."""

import importlib
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess

from tests.support.commands import MODULES

_ENTRIES = {name: (module, 'run') for name, module in MODULES.items()} | {
    'tfds': ('tensorflow_datasets.scripts.cli.main', 'launch_cli')
}

# A command is forked from a process that has loaded these and used none of them.
_LIBRARIES = ['beam_pipelines.launch.run_build', 'beam_pipelines.launch.detached', 'trainer.training.loop']


def start_command(name: str, *arguments: object, errors: str | os.PathLike = os.devnull) -> BaseProcess:
    """Starts a console command in a process of its own, which leads a process group.

    Its standard error goes into the file ``errors``, its standard output nowhere.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_LIBRARIES)
    process = context.Process(target=_run, args=([name, *map(str, arguments)], dict(os.environ), os.fspath(errors)))
    process.start()
    return process


def _run(argv: list[str], environment: dict[str, str], errors: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    module, entry = _ENTRIES[argv[0]]
    getattr(importlib.import_module(module), entry)()
