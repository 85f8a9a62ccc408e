"""The TPUs that a step can be compiled for: what each chip can do, and the names of their topologies."""

from __future__ import annotations

import dataclasses
import re

from beam_pipelines.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU chip's peaks, as its maker publishes them.

    Attributes
    ----------
    name : as in the name of a topology.
    memory_bytes : high-bandwidth memory of a chip.
    flops_per_s : bfloat16 floating-point operations. JAX multiplies float32 in bfloat16 too, on a TPU.
    memory_bytes_per_s : to and from that memory.
    links_bytes_per_s : to and from the other chips, in both directions together.
    most_chips : of one slice.
    source : where the figures are published.
    """

    name: str
    memory_bytes: int
    flops_per_s: float
    memory_bytes_per_s: float
    links_bytes_per_s: float
    most_chips: int
    source: str


CHIPS = {
    chip.name: chip
    for chip in (
        Chip('v5e', 16 << 30, 197e12, 819e9, 400e9, 256, 'https://docs.cloud.google.com/tpu/docs/v5e'),
        Chip('v6e', 32 << 30, 918e12, 1638e9, 800e9, 256, 'https://docs.cloud.google.com/tpu/docs/v6e'),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice of chips, such as ``v5e:2x2``."""

    name: str
    chip: Chip
    chips: int


def parse_topology(name: str) -> Topology:
    """Returns the slice of a name such as ``v5e:2x2``.

    Raises
    ------
    UsageError
        If the name has another form, names another chip or more chips than a slice has.
    """
    found = re.fullmatch(r'(\w+):([1-9]\d*)x([1-9]\d*)', name)
    if not found or found[1] not in CHIPS:
        problem = f'expected {" or ".join(CHIPS)} and the shape of the slice, such as v5e:2x2'
        raise UsageError(problem, field='--topology', value=name)
    chip, chips = CHIPS[found[1]], int(found[2]) * int(found[3])
    if chips > chip.most_chips:
        raise UsageError(f'a slice has at most {chip.most_chips} chips', field='--topology', value=name)
    return Topology(name, chip, chips)
