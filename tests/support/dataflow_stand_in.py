"""Stands in for Dataflow on this machine: takes a job as Beam submits it, and runs what Beam has staged for one.

What the real service makes of a job it cannot tell.
"""

import contextlib
import http.server
import json
import pathlib
import sys
import threading
from collections.abc import Iterator

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from tests.support.quiet_server import QuietServer

JOB_ID = '2026-01-02_03_04_05-678'


def run_staged(pipeline_file: pathlib.Path) -> None:
    """Runs a staged pipeline here, its containers replaced by Beam's embedded Python."""
    pipeline = beam_runner_api_pb2.Pipeline.FromString(pipeline_file.read_bytes())
    embedded = EmbeddedPythonEnvironment.default().to_runner_api(None)
    for environment in pipeline.components.environments.values():
        environment.CopyFrom(embedded)
    FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([])).wait_until_finish()


class DataflowStandIn(QuietServer):
    """Answers that its one job is running until ``state`` is set; ``submitted`` holds the jobs that it was sent."""

    def __init__(self):
        super().__init__(('localhost', 0), _Handler)
        self.state = 'JOB_STATE_RUNNING'
        self.submitted = []

    @property
    def endpoint(self) -> str:
        return f'http://localhost:{self.server_port}'


@contextlib.contextmanager
def dataflow_stand_in() -> Iterator[DataflowStandIn]:
    with DataflowStandIn() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        job = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.submitted.append(job)
        self._answer({'id': JOB_ID, 'name': job['name'], 'clientRequestId': job['clientRequestId']})

    def do_GET(self):
        self._answer(
            {'id': JOB_ID, 'currentState': self.server.state} if self.path.split('?')[0].endswith(JOB_ID) else {}
        )

    def _answer(self, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        del arguments


if __name__ == '__main__':
    run_staged(pathlib.Path(sys.argv[1]))
