"""libtpu, which compiles for a TPU on a machine that has none."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Sequence

import jax
from jax.experimental import topologies

from beam_pipelines.cli.command import standard_error_kept_back
from beam_pipelines.errors import UsageError, UserError
from trainer.training.tpu.chips import Chip, Topology


def describe_devices(topology: Topology) -> Sequence[jax.Device]:
    """Returns the chips of a slice; steps can be compiled for them, but not run.

    Raises
    ------
    UsageError
        If there is no slice of this shape.
    """
    # By default a machine has four of a slice's chips.
    bounds = {'chips_per_host_bounds': (1, 1, 1)} if topology.chips == 1 else {}
    with standard_error_kept_back():
        try:
            return topologies.get_topology_desc(platform='tpu', topology_name=topology.name, **bounds).devices
        except jax.errors.JaxRuntimeError as error:
            if 'INVALID_ARGUMENT' not in str(error):
                raise
            raise UsageError(_cause(error), field='--topology', value=topology.name) from None


def compile_step(lowered: jax.stages.Lowered, chip: Chip, batch_size: int) -> jax.stages.Compiled:
    """Compiles a step, which takes minutes for many members or large batches; Ctrl-C is raised meanwhile.

    The compiler then goes on until the process ends.

    Parameters
    ----------
    lowered : the step.
    chip : what it is compiled for.
    batch_size : of the config.

    Raises
    ------
    UserError
        If a step does not fit the chip's memory.
    """
    with standard_error_kept_back():
        try:
            return _compile_in_thread(lowered)
        except jax.errors.JaxRuntimeError as error:
            if 'RESOURCE_EXHAUSTED' not in str(error):
                raise
            memory = f'the {chip.memory_bytes >> 30} GiB of a {chip.name} chip'
            problem = f'does not fit {memory}: {_cause(error)} Give a smaller one, or more chips'
            raise UserError(problem, field='batch_size', value=batch_size) from None


def _compile_in_thread(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compiles in another thread: the main one, which handles signals, would not see Ctrl-C within the compiler."""
    result: concurrent.futures.Future[jax.stages.Compiled] = concurrent.futures.Future()

    def compile_lowered() -> None:
        try:
            result.set_result(lowered.compile())
        except BaseException as error:  # the caller's to handle, whatever it is
            result.set_exception(error)

    threading.Thread(target=compile_lowered, daemon=True).start()
    return result.result()


def _cause(error: Exception) -> str:
    """Returns the first line of libtpu's message, without its code."""
    return str(error).partition(': ')[2].partition('\n')[0]
