"""What goes wrong with a job on a cluster, in one line: a traceback of this process says nothing of the cause there."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions

from beam_pipelines.errors import UserError

_SECONDS_TO_ANSWER = 5
_MOST_CHARACTERS = 400


@contextlib.contextmanager
def cluster_errors(pipeline_options: PipelineOptions) -> Iterator[None]:
    """Raises UserError for whatever the runner of a cluster raises in the block.

    Parameters
    ----------
    pipeline_options : Beam's own options, with a runner other than a local one.
    """
    _tell_if_nobody_answers(pipeline_options)
    try:
        yield
    except Exception as error:
        # Beam's own first line; what follows is the cluster's traceback, which its logs hold too.
        reason = (str(error).splitlines() or [type(error).__name__])[0][:_MOST_CHARACTERS]
        runner = pipeline_options.view_as(StandardOptions).runner
        raise UserError(f'{runner}: {reason}; what is whole is kept, and the same command goes on with it') from error


def _tell_if_nobody_answers(pipeline_options: PipelineOptions) -> None:
    """Says that Beam is going to wait for a job service that is not there, or not yet; Beam says nothing."""
    portable = pipeline_options.view_as(PortableOptions)
    host, _, port = (portable.job_endpoint or '').rpartition(':')
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        print(
            f'--job_endpoint={portable.job_endpoint}: {error.strerror or error};'
            f' waiting up to {portable.job_server_timeout} s for it (--job_server_timeout)',
            file=sys.stderr,
            flush=True,
        )
