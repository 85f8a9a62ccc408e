"""What every way of feeding training has to deliver, and what several of them share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # It imports TensorFlow.
    from trainer.data.stored_dataset import StoredSplit

SHUFFLED_ROWS = 16_384
READ_BYTES = 1 << 20
BLOCK_ROWS = 1024

Batches = Iterable[tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Task:
    """What a way has to deliver.

    Attributes
    ----------
    split : the data.
    data_dir : the TFDS data directory that it is in.
    converted : the folder with the data in the peers' formats.
    batch_size : rows in a batch.
    shuffled : whether the rows are shuffled.
    endless : whether to continue with the next pass; only the tf.data ways can.
    """

    split: StoredSplit
    data_dir: str
    converted: str
    batch_size: int
    shuffled: bool
    endless: bool = False

    @property
    def paths(self) -> list[str]:
        return [shard.path for shard in self.split.shards]


class Restartable:
    """An iterable over a generator function."""

    def __init__(self, start: Callable[[], Iterator[tuple[Any, Any]]]):
        self._start = start

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._start()


def finish(batches: Any, task: Task, prefetch: bool = True) -> Any:
    """Repeats a ``tf.data.Dataset`` if the task is endless, and prefetches."""
    import tensorflow as tf

    batches = batches.repeat() if task.endless else batches
    return batches.prefetch(tf.data.AUTOTUNE) if prefetch else batches


def pair(row: dict[str, Any]) -> tuple[Any, Any]:
    """Returns what training needs from a parsed row."""
    return row['waveform'], row['label']
