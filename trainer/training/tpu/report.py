"""The lines that say what the compiler said of a step."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.cli.words import counted
from trainer.training.tpu.chips import Topology
from trainer.training.tpu.compiled import CompiledStep


def report_lines(step: CompiledStep, batch_size: int, topology: Topology) -> Sequence[str]:
    """Returns the figures of a step on one chip, and the rate that the chip's peaks would allow.

    Parameters
    ----------
    step : as compiled for one of the chips.
    batch_size : how many examples the chips share.
    topology : the chips.
    """
    chip, examples = topology.chip, batch_size // topology.chips
    collectives = ', '.join(
        f'{kind.count} {name} of {_mebibytes(kind.bytes)}' for name, kind in sorted(step.collectives.items())
    )
    rates = {limit: examples / seconds for limit, seconds in step.seconds_at_peak(topology).items() if seconds}
    lowest = min(rates, key=rates.__getitem__)
    needed, there, before, besides = map(
        _mebibytes, (step.memory_bytes, chip.memory_bytes, step.state_bytes, step.working_bytes)
    )
    return [
        f'{topology.name}: {counted(topology.chips, "chip")}, {counted(examples, "example")} each. Per chip and step:',
        f'arithmetic   {step.flops / 1e9:,.2f} GFLOP, {step.flops / examples / 1e6:,.2f} MFLOP per example',
        f'memory       {needed} of {there}: {before} weights, optimizer, inputs; {besides} results on the way, code',
        f'collectives  {collectives or "none"}',
        f'ESTIMATE     {rates[lowest]:,.0f} examples/s per chip, limited by {lowest};'
        f' by each limit: {", ".join(f"{limit} {rate:,.0f}" for limit, rate in rates.items())}',
        f'The estimate is a roofline of the peaks in {chip.source}. Nothing has been run.',
    ]


def _mebibytes(count: float) -> str:
    return f'{count / (1 << 20):,.1f} MiB'
