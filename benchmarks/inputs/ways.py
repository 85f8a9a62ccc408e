"""The ways to feed training that ``input_throughput`` compares: ours, and each peer as its users would write it.

A way is a function of a ``Task``. It returns (waveform, label) batches of one pass over the data, to be iterated once.
One-time costs are paid before it returns: imports, loading into memory, filling a cache. ``conversions`` makes the
files that are not TFRecords.

Batches are what a training step of the way's framework takes: TensorFlow's tensors, PyTorch's for its DataLoader and
for WebDataset, arrays for Grain, which JAX takes.

In shuffled order each way shuffles in its natural way. In stored order none does, though files may be interleaved.
Where a library leaves a choice, the fastest of those tried on two cores is used; the comments name the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from benchmarks.inputs import other_peers, ours, tensorflow_peers
from benchmarks.inputs.task import Batches, Task


@dataclasses.dataclass(frozen=True)
class Way:
    """One way: how to open it, what it needs and what kind it is.

    Attributes
    ----------
    open : from a task to its batches.
    libraries : modules that it needs beyond those of this project.
    converted : the format that it reads: a name in ``conversions``, or none for our shards.
    in_memory : whether the data are in memory before the first batch.
    orders : the orders it can deliver.
    """

    open: Callable[[Task], Batches]
    libraries: tuple[str, ...] = ()
    converted: str | None = None
    in_memory: bool = False
    orders: tuple[str, ...] = ('shuffled', 'stored')


WAYS = {
    'block': Way(ours.block),
    'online': Way(ours.online, in_memory=True, orders=('shuffled',)),
    'flrd': Way(ours.flrd),
    'naive': Way(tensorflow_peers.naive),
    'tfds': Way(tensorflow_peers.tfds),
    'best_practice': Way(tensorflow_peers.best_practice),
    'cache': Way(tensorflow_peers.cache, in_memory=True),
    'memory': Way(tensorflow_peers.memory, in_memory=True),
    'memory_gather': Way(tensorflow_peers.memory_gather, in_memory=True),
    'grain': Way(other_peers.grain, ('grain', 'array_record'), 'array_record'),
    'dataloader': Way(other_peers.dataloader, ('torch',)),
    'dataloader_inline': Way(other_peers.dataloader_inline, ('torch',)),
    'webdataset': Way(other_peers.webdataset, ('torch', 'webdataset'), 'tar'),
    'npy_shards': Way(other_peers.npy_shards, converted='npy'),
    'bare_read': Way(other_peers.bare_read),
}
OURS = ('block', 'online')
