"""What the launcher of Dataflow's Flex Templates runs: sero-build, with all arguments in one row.

The launcher gives the template's parameters and Beam's own options as ``--name=value``, in any order and without the
``--`` that sero-build expects between them. It also gives ``--template_location``, so this stages the job and ends;
Dataflow then starts it, and nobody waits for it here.

To see what a launch would stage, without an account (the folder must exist):

    python cloud/dataflow/flex_main.py --recordings=demo/recordings --data_dir=/tmp/S/data --runner=DataflowRunner \
        --project=p --region=us-central1 --job_name=j --dataflow_endpoint=http://localhost:18555 --no_auth \
        --temp_location=/tmp/S --staging_location=/tmp/S --template_location=/tmp/S/job.json --sdk_container_image=i
"""

import sys
from collections.abc import Sequence

from absl import flags

from beam_pipelines import build


def with_separator(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments as sero-build takes them: its own flags, then ``--`` and Beam's options."""
    own_names = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(build.__name__)}
    own, beam_options = [], []
    for argument in arguments:
        name = argument.partition('=')[0].removeprefix('--')
        (own if name in own_names else beam_options).append(argument)
    return [*own, '--', *beam_options]


if __name__ == '__main__':
    build.define_flags()
    sys.argv[1:] = with_separator(sys.argv[1:])
    build.run_command('sero-build', build.__name__)
