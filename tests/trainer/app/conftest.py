"""Shared by the tests of the page: a model, recordings, the running program, a browser."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.support.browser import started_chromium
from tests.support.simulated_current import simulated_current


class StartedApp:
    """The program, started as a user does, with its own place for temporary files."""

    def __init__(self, process: subprocess.Popen, url: str, temporary: pathlib.Path):
        self.process, self.url, self.temporary = process, url, temporary

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    @contextlib.contextmanager
    def reading_halted(self) -> Iterator[None]:
        """Keeps the process that reads recordings, which has been started before, from going on."""
        children = pathlib.Path(f'/proc/{self.process.pid}/task').glob('*/children')
        readers = [int(number) for path in children for number in path.read_text().split()]
        for reader in readers:
            os.kill(reader, signal.SIGSTOP)
        try:
            yield
        finally:
            for reader in readers:
                os.kill(reader, signal.SIGCONT)

    def uploaded(self) -> list[str]:
        return sorted(path.name for path in self.temporary.rglob('uploads/*/*'))


@pytest.fixture(scope='session')
def model(finished_run) -> pathlib.Path:
    """The folder of a finished run. Read only."""
    return finished_run


@pytest.fixture(scope='session')
def recordings(tmp_path_factory) -> pathlib.Path:
    """A folder of short recordings: `ser`, `nser`, one upside down, one of another scale. Read only."""
    folder = tmp_path_factory.mktemp('recordings')
    for name, label, udi_ms, factor in (
        ('ser', 'SER', 1.4, 1),
        ('nser', 'NSER', 0.4, 1),
        ('upward', 'NSER', 0.4, -1),
        ('nano', 'NSER', 0.4, 1e-3),
    ):
        current_pa, _ = simulated_current(4.0, label, udi_ms=udi_ms)
        np.save(folder / f'{name}.npy', current_pa * np.float32(factor))
    return folder


@pytest.fixture(scope='session')
def start_app(model, tmp_path_factory) -> Callable[..., contextlib.AbstractContextManager[StartedApp]]:
    @contextlib.contextmanager
    def started(
        *arguments: object, temporary: pathlib.Path | None = None, place: pathlib.Path = model
    ) -> Iterator[StartedApp]:
        temporary = temporary or tmp_path_factory.mktemp('temporary')
        command = pathlib.Path(sys.executable).parent / 'sero-app'
        environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
        with subprocess.Popen(
            [command, '--model', place, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {'TMPDIR': str(temporary)},
            # As in a terminal, even if these tests run under nohup.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        ) as process:
            line = process.stdout.readline()
            found = re.search(r'http://\S+', line)
            assert found, (line, process.communicate(timeout=60)[1])
            try:
                yield StartedApp(process, found[0], temporary)
            finally:
                if process.poll() is None:
                    process.kill()

    return started


@pytest.fixture(scope='module')
def app(start_app) -> Iterator[StartedApp]:
    with start_app() as started:
        yield started


@pytest.fixture(scope='module')
def browser() -> Iterator:
    with started_chromium() as browser:
        yield browser
