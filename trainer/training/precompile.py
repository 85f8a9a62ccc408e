r"""Compiles the training step of --backend=jax for TPUs that are not here, and prints what the compiler says of it.

    python -m trainer.training.precompile --config trainer/configs/default.py --topology=v5e:2x2
    python -m trainer.training.precompile --config trainer/configs/default.py --config.input=online \
        --config.precision=mixed_bfloat16 --config.batch_size=4096 --topology=v6e:2x2

It needs neither a TPU nor a dataset, but the extra tpu: pip install '.[tpu]'. As in a run of sero-train, all chips of
the topology share each batch. The input online draws from as many spikes and noise masks as were published. It takes
minutes: the more members and the larger the batch, the longer. Nothing is run, so the rate is an estimate, of what the
published peaks of the chip would allow.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from typing import TYPE_CHECKING

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command, show
from beam_pipelines.cli.environment import environment_with
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from trainer.backend import start_keras
from trainer.config import define_config_flag, parse_flags, read_config
from trainer.training.tpu.chips import parse_topology

if TYPE_CHECKING:
    from ml_collections import FrozenConfigDict

# The chips are only described. So JAX and libtpu look neither for a TPU nor for the server that tells a machine which
# TPU it has, and libtpu does without the lock by which one process keeps a TPU to itself.
ENVIRONMENT = {'JAX_PLATFORMS': 'cpu', 'TPU_SKIP_MDS_QUERY': '1', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'}


def define_flags() -> None:
    """Defines the program's flags."""
    define_config_flag()
    flags.declare_key_flag('config')  # so that --help has it
    flags.DEFINE_string('topology', None, 'Chip and shape of the slice, such as v5e:2x2 or v6e:4x4.', required=True)
    flags.mark_flag_as_required('config')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    config, topology = read_config(), parse_topology(flags.FLAGS.topology)
    assert config is not None, 'the flag is required'
    if importlib.util.find_spec('libtpu') is None:
        raise UserError("libtpu is not installed: pip install '.[tpu]'")
    with environment_with(ENVIRONMENT):
        start_keras('jax')

        from trainer.training.tpu import libtpu
        from trainer.training.tpu.compiled import read_compiled
        from trainer.training.tpu.report import report_lines
        from trainer.training.tpu.step import DescribedDevices, lower_step

        lowered = lower_step(config, DescribedDevices(libtpu.describe_devices(topology)))
        print(
            f'compiling the step of {_described(config)} for {topology.name}, which can take minutes', file=sys.stderr
        )
        compiled = libtpu.compile_step(lowered, topology.chip, config.batch_size)
    show(f'{_described(config)}; {_versions()}', *report_lines(read_compiled(compiled), config.batch_size, topology))
    return 0


def _described(config: FrozenConfigDict) -> str:
    members = counted(len(config.kernel_sizes), 'member')
    return f'{members}, {config.precision}, input {config.input}, batch_size {config.batch_size:,}'


def _versions() -> str:
    return ', '.join(f'{name} {importlib.metadata.version(name)}' for name in ('jax', 'libtpu', 'keras'))


if __name__ == '__main__':
    define_flags()
    run_command('python -m trainer.training.precompile', __name__, parse_flags)
