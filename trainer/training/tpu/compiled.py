"""What the compiler says of a step: arithmetic, memory, traffic between chips; and what the chip's peaks allow."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainer.training.tpu.chips import Topology

if TYPE_CHECKING:
    import jax

_COLLECTIVES = 'all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast'
# As in `%all-reduce.9 = (f32[160]{0:T(256)}, bf16[20,32]{1,0}) all-reduce(%a, %b), channel_id=1`. What a later
# `all-reduce-done` waits for has been counted where it started.
_COLLECTIVE = re.compile(rf'^\s*(?:ROOT )?%\S+ = (.+?) ({_COLLECTIVES})(-start)?\(', re.MULTILINE)
_ARRAY = re.compile(r'\b(?:pred|[a-z]+(\d+))\[([\d,]*)\]')


@dataclasses.dataclass(frozen=True)
class Collectives:
    """The operations of one kind by which chips exchange data in a step.

    Attributes
    ----------
    count : how many operations.
    bytes : of their results, on each chip.
    """

    count: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """A step as compiled for one of the chips that share it.

    Attributes
    ----------
    flops : floating-point operations of a step.
    accessed_bytes : read and written by its operations, those that stay in the memory beside the chip's cores included.
    state_bytes : what is in the chip's memory when a step begins: weights, the optimizer's state, the batch.
    working_bytes : what a step needs besides: intermediate results, new outputs, its code.
    collectives : by the name of the operation.
    """

    flops: float
    accessed_bytes: float
    state_bytes: int
    working_bytes: int
    collectives: Mapping[str, Collectives]

    @property
    def memory_bytes(self) -> int:
        """The chip's memory that a step needs."""
        return self.state_bytes + self.working_bytes

    def seconds_at_peak(self, topology: Topology) -> dict[str, float]:
        """Returns how long a step takes at its chip's peaks, by what limits it: arithmetic, memory or links."""
        chip, others = topology.chip, topology.chips - 1
        # A chip sends its part to the others, and receives theirs: once for the sums, once for the results.
        exchanged = 4 * others / topology.chips * sum(kind.bytes for kind in self.collectives.values())
        return {
            'arithmetic': self.flops / chip.flops_per_s,
            'memory': self.accessed_bytes / chip.memory_bytes_per_s,
            'links': exchanged / chip.links_bytes_per_s,
        }


def read_compiled(step: jax.stages.Compiled) -> CompiledStep:
    """Reads what the compiler says of a step."""
    cost, memory, hlo = step.cost_analysis(), step.memory_analysis(), step.as_text()
    assert cost and memory and hlo, 'libtpu tells them all'
    return CompiledStep(
        cost['flops'],
        cost['bytes accessed'],
        memory.argument_size_in_bytes,
        # Outputs take the place of the state that they replace.
        memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.generated_code_size_in_bytes,
        find_collectives(hlo),
    )


def find_collectives(hlo: str) -> dict[str, Collectives]:
    """Returns the operations between chips in a compiled program, by their names.

    Parameters
    ----------
    hlo : its text.
    """
    found: dict[str, Collectives] = {}
    for shape, name, _ in _COLLECTIVE.findall(hlo):
        before = found.get(name, Collectives(0, 0))
        found[name] = Collectives(before.count + 1, before.bytes + _bytes_of(shape))
    return found


def _bytes_of(shape: str) -> int:
    """Returns the size of an array or of a tuple of arrays, such as ``(f32[160]{0}, bf16[20,32]{1,0})``."""
    return sum(
        math.prod(map(int, filter(None, dimensions.split(',')))) * max(1, int(bits or 8) // 8)
        for bits, dimensions in _ARRAY.findall(shape)
    )
