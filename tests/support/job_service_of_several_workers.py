"""Beam's own job service in Python, but with as many workers as --direct_num_workers says.

The service of Beam 2.77 passes over that option and has one worker; all else is Beam's.
"""

import sys

from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.runners.portability import local_job_service, local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner


class _Runner(fn_runner.FnApiRunner):
    def run_via_runner_api(self, pipeline_proto, options):
        self._num_workers = int(options.view_as(DirectOptions).direct_num_workers)  # it comes as text
        return super().run_via_runner_api(pipeline_proto, options)


if __name__ == '__main__':
    local_job_service.fn_runner.FnApiRunner = _Runner
    local_job_service_main.run(sys.argv[1:])
