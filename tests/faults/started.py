"""A command of a campaign that has been started: waited for, interrupted, killed with all of its processes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import time

from tests.faults.cases import Case
from tests.faults.inputs import Inputs
from tests.support.started_commands import start_command

_MOST_SECONDS = 400.0
_SECONDS_BETWEEN_LOOKS = 0.05
# What a command says on the way: progress, notices and TensorFlow's own lines are no errors.
_COMMAND_LINE = re.compile(r'(sero-[a-z]+|tfds build sero_spikes): .+')


class Started:
    """A command that is running, in a folder of its own or of several commands.

    Parameters
    ----------
    case : the command.
    inputs : what it reads.
    folder : in which it works, see ``Case.prepare``.
    errors : file for its standard error.
    """

    def __init__(self, case: Case, inputs: Inputs, folder: pathlib.Path, errors: pathlib.Path):
        self._case, self._folder, self._errors = case, folder, errors
        self._began, self._began_at = time.monotonic(), time.time()
        self._process = start_command(case.command, *case.arguments(inputs, folder), errors=errors)

    def join(self) -> float:
        """Waits until it has done its work and ended; returns the seconds since its start until it had done it."""
        if self._case.watches:
            while self._process.is_alive() and not self._case.has_done(self._folder, self._began_at):
                self._wait(_SECONDS_BETWEEN_LOOKS)
            seconds = time.monotonic() - self._began
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid or 0, signal.SIGINT)
            self._process.join(_MOST_SECONDS)
            return seconds
        self._process.join(_MOST_SECONDS)
        return time.monotonic() - self._began

    def kill_after(self, seconds: float) -> bool:
        """Kills its process group after some seconds; returns whether it was still running."""
        self._process.join(max(0.0, seconds - (time.monotonic() - self._began)))
        was_running = self._process.is_alive()
        pid = self._process.pid or 0
        # It makes the group first of all; before that only this process can be killed.
        while was_running and self._process.is_alive() and os.getpgid(pid) != pid:
            time.sleep(0.001)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        self._process.join()
        return was_running

    @property
    def done(self) -> bool:
        """Whether it has ended with the status of work that is done."""
        return self._process.exitcode == self._case.done_status and not self.refusal

    @property
    def refusal(self) -> str:
        """The line with which it has refused to work, or with which it failed; empty if there is none."""
        if self._process.exitcode == 0:
            return ''
        lines = [line for line in self._said().splitlines() if _COMMAND_LINE.fullmatch(line)]
        return '' if not lines or _NOT_AS_PUBLISHED in lines[-1] else lines[-1]

    def problems(self) -> list[str]:
        """Returns how it has ended otherwise than with its work done or with one line."""
        said, status = self._said(), self._process.exitcode
        if status is None:
            self.kill_after(0)
            return [f'{self._case.command}: did not end in {_MOST_SECONDS:.0f} s']
        if 'Traceback' in said or (not self.done and status not in (1, 2)) or not (self.done or self.refusal):
            return [f'{self._case.command}: status {status}: {said[-2000:]}']
        return []

    def _said(self) -> str:
        return self._errors.read_text(errors='replace') if self._errors.exists() else ''

    def _wait(self, seconds: float) -> None:
        self._process.join(seconds)
        if time.monotonic() - self._began > _MOST_SECONDS:
            raise TimeoutError(f'{self._case.command}: has not done its work in {_MOST_SECONDS:.0f} s')


_NOT_AS_PUBLISHED = 'not the published numbers of cells and spikes'
