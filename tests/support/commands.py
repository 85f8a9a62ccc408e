"""The console commands: in this process, which is fast, or in one of their own, as a user runs them."""

import contextlib
import faulthandler
import importlib
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from unittest import mock

from absl import app, flags
from absl import logging as absl_logging
from absl.testing import flagsaver

MODULES = {
    'sero-download': 'trainer.download',
    'sero-simulate': 'beam_pipelines.simulate',
    'sero-build': 'beam_pipelines.build',
    'sero-verify': 'beam_pipelines.verify',
    'sero-train': 'trainer.train',
    'sero-evaluate': 'trainer.evaluate',
    'sero-classify': 'trainer.classify.command',
    'sero-app': 'trainer.app.command',
    'sero-export-model': 'trainer.export_model',
}


# As ``beam_pipelines.cli.progress_line`` writes it where standard error is no terminal.
_PROGRESS = re.compile(r' *\d+ s  ')


def run_command(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs one of the console commands in this process.

    Libraries are loaded once for all tests rather than by each command. What the command changes in the process is put
    back: flags, logging, environment, what Keras has counted.

    Returns
    -------
    Status and output, as of a process. An exception that would end the command with a traceback is raised.
    """
    module = importlib.import_module(MODULES[name])
    keras = sys.modules.get('keras')
    if keras:
        keras.backend.clear_session()  # its names of layers count up over the whole process
    argv = [name, *map(str, arguments)]
    with _as_in_a_new_process(argv), _output_captured() as output:
        status = _status_of(module.run)
    return subprocess.CompletedProcess(argv, status, output.stdout, output.stderr)


def run_tfds(*arguments: object, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    """Runs TFDS's command in this process and in a folder; all else is as of ``run_command``."""
    from tensorflow_datasets.scripts.cli import main as tfds_command

    argv = ['tfds', *map(str, arguments)]
    exits: list[int] = []
    for name, module in list(sys.modules.items()):
        if name.endswith('sero_spikes_dataset_builder'):  # TFDS imports it under another name
            module._report_in_one_line.cache_clear()
    before = pathlib.Path.cwd()
    with (
        _as_in_a_new_process(argv),
        _output_captured() as output,
        _logging_of_absl_restored(),
        mock.patch.object(os, '_exit', exits.append),  # a handler of exceptions may call it; absl then raises them
    ):
        os.chdir(cwd)
        try:
            status = _status_of(tfds_command.launch_cli)
        except Exception:
            if not exits:
                raise
            status = exits[0]
        finally:
            os.chdir(before)
    return subprocess.CompletedProcess(argv, status, output.stdout, output.stderr)


def run_installed(name: str, *arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess:
    """Runs one of the console commands as a user would, in a process of its own."""
    command = pathlib.Path(sys.executable).parent / name
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run(
        [str(command), *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, env=environment
    )


def error_line(result: subprocess.CompletedProcess) -> str:
    """Returns the one line that a failed command has written, and fails the test if it is not one line."""
    assert result.returncode in (1, 2), (result.returncode, result.stdout, result.stderr)
    # Work that takes long, on a busy machine, shows its progress first.
    lines = [line for line in result.stderr.strip().splitlines() if not _PROGRESS.match(line)]
    assert len(lines) == 1, result.stderr
    return lines[0]


def help_of(command: str) -> str:
    """Returns what ``--help`` of a console command shows."""
    result = run_installed(command, '--help')
    assert result.returncode == 0, result.stderr
    return result.stdout


def _status_of(run: Callable[[], object]) -> int:
    try:
        run()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return 0


@contextlib.contextmanager
def _logging_of_absl_restored() -> Iterator[None]:
    handler = absl_logging.get_absl_handler().python_handler
    formatter, verbosity = handler.formatter, absl_logging.get_verbosity()
    try:
        yield
    finally:
        handler.setFormatter(formatter)
        absl_logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _as_in_a_new_process(argv: list[str]) -> Iterator[None]:
    """Puts back what a command changes in the process it runs in."""
    app.define_help_flags()  # absl does so once a process, so they must exist before the flags are saved
    saved = flagsaver.save_flag_values()
    main_module = sys.modules['__main__']
    main_doc = main_module.__doc__
    handlers, level = logging.root.handlers[:], logging.root.level
    with (
        mock.patch.object(sys, 'argv', argv),
        mock.patch.dict(os.environ),
        # A builder of TFDS that failed in this process has installed one, which would end it.
        mock.patch.object(app, 'EXCEPTION_HANDLERS', []),
        # It would keep writing to the captured standard error after that is closed.
        mock.patch.object(faulthandler, 'enable'),
    ):
        logging.root.handlers[:] = []  # pytest's
        try:
            yield
        finally:
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
            main_module.__doc__ = main_doc
            _restore_flags(saved)


def _restore_flags(saved: dict) -> None:
    """Takes away the command's flags; those that libraries have defined in the meantime stay."""
    stay = {}
    definers = (*MODULES.values(), 'trainer.buckets', 'trainer.classify')
    for name in flags.FLAGS:
        definer = str(flags.FLAGS.find_module_defining_flag(name))
        if not (name.startswith('config') or definer.startswith(definers)):
            stay[name] = flags.FLAGS[name].__dict__
    flagsaver.restore_flag_values(stay | saved)


class _Output:
    """What was written to standard output and standard error."""

    stdout = stderr = ''


@contextlib.contextmanager
def _output_captured() -> Iterator[_Output]:
    """Captures what this process, its libraries in C++ and the processes that it starts write."""
    captured = _Output()
    with contextlib.ExitStack() as stack:
        written = {}
        for number, name in ((1, 'stdout'), (2, 'stderr')):
            getattr(sys, name).flush()
            written[name] = stack.enter_context(tempfile.TemporaryFile())
            before = os.dup(number)
            stack.callback(os.close, before)
            os.dup2(written[name].fileno(), number)
            stack.callback(os.dup2, before, number)
            stream = open(number, 'w', 1, encoding='utf-8', errors='backslashreplace', closefd=False)
            stack.enter_context(mock.patch.object(sys, name, stack.enter_context(stream)))
        handler = absl_logging.get_absl_handler().python_handler
        stack.enter_context(mock.patch.object(handler, 'stream', sys.stderr))
        absl_logging.use_absl_handler()
        try:
            yield captured
        finally:
            for name, file in written.items():
                getattr(sys, name).flush()
                file.seek(0)
                setattr(captured, name, file.read().decode())
