"""How a job runs, and what becomes of the faults that its workers meet."""

from __future__ import annotations

import dataclasses
import errno

from beam_pipelines.errors import UserError


@dataclasses.dataclass(frozen=True)
class Job:
    """How a job runs.

    Attributes
    ----------
    publish : move finished datasets to their folders; without it, they stay staged for the caller.
    overwrite : replace datasets that exist when the job runs.
    repeats_faults : the runner tries work again whose worker raised, as clusters do.
    detached : nobody waits for the job, so it fails if a dataset cannot be built.
    """

    publish: bool = True
    overwrite: bool = False
    repeats_faults: bool = False
    detached: bool = False

    def reason(self, error: OSError | UserError, place: str) -> str:
        """Returns an error in one line, which stands for the work that it ended.

        Parameters
        ----------
        error : what ended the work.
        place : the file or dataset at work, for an error that names no file.

        Raises
        ------
        OSError
            If it is a fault of a disk, a store or a machine, and the runner tries the work again: by then it may be
            gone. A mistake in the recordings or options would only be met again.
        """
        fault = error if isinstance(error, OSError) else error.__cause__
        if self.repeats_faults and isinstance(fault, OSError):
            text, file = fault.strerror or str(fault), fault.filename or place
            raise OSError(fault.errno or errno.EIO, text, file) from error
        return f'{error.filename or place}: {error.strerror or error}' if isinstance(error, OSError) else str(error)


# A job on this machine, waited for, whose datasets are published.
HERE = Job()
