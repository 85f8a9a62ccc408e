"""Beam's workers on this machine: over loopback only, past any proxy, without a shell; the death of one ends the job.

By itself Beam listens on all interfaces, starts workers through a shell that splits a path with a space, reaches them
through ``http_proxy``, and waits forever for one that has died.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from google.protobuf import json_format, text_format

from beam_pipelines.cli.environment import environment_with
from beam_pipelines.errors import UserError

_LOOPBACK = ('localhost', '127.0.0.1', '::1')
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_END = 5.0

# With -m, a file such as random.py in the current folder would take the place of the library's.
_START = (
    'import sys; sys.path[:], sys.argv[1:] = sys.argv[1:], [];'
    ' from apache_beam.runners.worker.sdk_worker_main import main; main(sys.argv)'
)


@contextlib.contextmanager
def local_workers() -> Iterator[None]:
    """Within its context, the servers of Beam's local runner listen on loopback only, and its workers are ours.

    Raises
    ------
    UserError
        If a worker died and the block failed.
    """
    deaths: list[str] = []
    constructor = functools.partial(_WorkerProcess, deaths)
    environments = worker_handlers.WorkerHandler._registered_environments
    registered = environments[python_urns.SUBPROCESS_SDK]
    environments[python_urns.SUBPROCESS_SDK] = (constructor, bytes)
    worker_handlers.grpc = _GrpcOnLoopback()
    try:
        yield
    except Exception as error:
        if deaths:
            raise UserError(deaths[0]) from error
        raise
    finally:
        worker_handlers.grpc = grpc
        environments[python_urns.SUBPROCESS_SDK] = registered


@contextlib.contextmanager
def no_proxy_to_this_machine() -> Iterator[None]:
    """Within its context, gRPC does not reach this machine through a proxy."""
    excepted = os.environ.get('no_grpc_proxy') or os.environ.get('no_proxy') or ''
    hosts = ','.join(filter(None, [excepted, *_LOOPBACK]))
    with environment_with({'no_grpc_proxy': hosts}):
        yield


class _GrpcOnLoopback:
    """The module ``grpc``, but for servers: what would listen on all interfaces listens on loopback."""

    def __getattr__(self, name: str) -> Any:
        return getattr(grpc, name)

    def server(self, *arguments: Any, **keywords: Any) -> grpc.Server:
        server = grpc.server(*arguments, **keywords)
        listen = server.add_insecure_port
        server.add_insecure_port = lambda address: listen(address.replace('[::]', 'localhost'))
        return server


class _WorkerProcess(worker_handlers.GrpcWorkerHandler):
    """A worker process.

    Parameters
    ----------
    deaths : where it notes that it has died before its work was done.
    command_line : Beam's; not used, because it is for a shell.
    arguments : of ``GrpcWorkerHandler``.
    """

    def __init__(self, deaths: list[str], command_line: bytes, *arguments: Any):
        super().__init__(*arguments)
        self._deaths = deaths
        self._stopped = threading.Event()

    def start_worker(self) -> None:
        environment = os.environ | {
            'CONTROL_API_SERVICE_DESCRIPTOR': _described(self.control_address),
            'LOGGING_API_SERVICE_DESCRIPTOR': text_format.MessageToString(self.logging_api_service_descriptor()),
            'PIPELINE_OPTIONS': json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
            'WORKER_ID': self.worker_id,
        }
        self._process = subprocess.Popen([sys.executable, '-c', _START, *filter(None, sys.path)], env=environment)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        status = self._process.wait()
        ended = f'was killed by signal {-status}' if status < 0 else f'ended with status {status}'
        while not self._stopped.wait(_SECONDS_BETWEEN_LOOKS):
            if not self._deaths:
                self._deaths.append(
                    f'a worker process {ended}, as the system does when memory runs out; whole shards are kept, and the'
                    ' same command resumes from them'
                )
            # Again and again, because the job may ask the dead worker for more.
            for request, answer in list(self.control_conn._futures_by_id.items()):
                answer.set(beam_fn_api_pb2.InstructionResponse(instruction_id=request, error=ended))

    def stop_worker(self) -> None:
        self._stopped.set()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # It is at work for a job that has failed.
            self._process.kill()
            self._process.wait()


def _described(address: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=address))
