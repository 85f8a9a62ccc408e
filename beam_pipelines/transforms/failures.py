"""Why datasets could not be built: written down for the process that started the build."""

from __future__ import annotations

import json
from collections.abc import Callable

import apache_beam as beam
from apache_beam.metrics.metric import MetricResults, MetricsFilter
from apache_beam.runners.runner import PipelineResult

from beam_pipelines.errors import UserError
from beam_pipelines.storage import files
from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.paths import BuildPaths

_UNWRITTEN = 'unwritten'


class Failures:
    """Keeps a fault of one dataset from ending the job, where nobody repeats its work.

    Parameters
    ----------
    data_dir : the TFDS data directory.
    job : how the job runs.
    """

    def __init__(self, data_dir: str, job: Job):
        self._paths = BuildPaths(data_dir)
        self._job = job
        self._unwritten = beam.metrics.Metrics.string_set('failures', _UNWRITTEN)

    def attempt(self, config: str, work: Callable[[], None]) -> bool:
        """Does a part of the work on a dataset; returns whether it succeeded.

        Raises
        ------
        OSError
            As ``Job.reason``.
        RuntimeError
            If it failed and nobody waits for the job.
        """
        paths = self._paths
        try:
            work()
            files.remove(paths.failure(config))
        except (OSError, UserError) as error:
            reason = self._job.reason(error, paths.work(config))
            if self._job.detached:
                raise RuntimeError(f'{reason}; rejected files are listed in {paths.rejected}') from error
            self._note(config, reason)
            return False
        return True

    def _note(self, config: str, reason: str) -> None:
        try:
            files.write_json(self._paths.failure(config), {'error': reason})
        except OSError:  # The disk is full, or fails.
            if self._job.repeats_faults:
                raise
            self._unwritten.add(json.dumps([config, reason]))


def unwritten_failures(result: PipelineResult) -> dict[str, str]:
    """Returns why datasets could not be built where the disk did not take the reason: config -> reason."""
    sets = result.metrics().query(MetricsFilter().with_name(_UNWRITTEN))[MetricResults.STRINGSETS]
    return dict(json.loads(failure) for found in sets for failure in found.result)
