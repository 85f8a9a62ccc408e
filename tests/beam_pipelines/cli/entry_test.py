"""What happens while a command's modules are imported, in processes of their own."""

import os
import signal
import subprocess
import sys

import pytest

_START = 'from beam_pipelines.cli.entry import start; start("sero-program", "program")'


@pytest.fixture
def started(tmp_path):
    """Returns a function that starts a command whose module has the given lines."""

    def start(*lines: str) -> subprocess.Popen:
        (tmp_path / 'program.py').write_text('\n'.join(lines))
        return subprocess.Popen(
            [sys.executable, '-c', _START],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), os.getcwd()])},
        )

    return start


def test_ctrl_c_during_the_imports_is_one_line(started):
    process = started('import time', "print('importing', flush=True)", 'time.sleep(60)')
    assert process.stdout.readline() == 'importing\n'
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, '\nsero-program: interrupted\n')


@pytest.mark.parametrize('where', ['import sklearn', 'def run(): import sklearn'], ids=['at once', 'when it runs'])
def test_a_requirement_that_is_not_installed_is_one_line(started, where):
    for name in ('sklearn', 'absl'):
        away = f'sys.modules["{name}"] = None  # as if it were not there'
        process = started('import sys', away, where.replace('sklearn', name))
        _, error = process.communicate(timeout=30)
        assert process.returncode == 1
        assert error.startswith(f'sero-program: {name} is not installed, ') and error.count('\n') == 1


@pytest.mark.parametrize('line', ['import json.no_such', 'import no_such_module', 'import absl.no_such'])
def test_a_mistake_of_ours_keeps_its_traceback(started, line):
    _, error = started(line).communicate(timeout=60)
    assert error.startswith('Traceback') and 'ModuleNotFoundError' in error


def test_a_command_ends_with_the_status_of_its_run(started):
    process = started('import sys', 'def run(): sys.exit(7)')
    assert process.communicate(timeout=30) == ('', '') and process.returncode == 7
