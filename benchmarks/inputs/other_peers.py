"""Ways to feed training with libraries other than TensorFlow, as their users would write them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from benchmarks.inputs.task import READ_BYTES, SHUFFLED_ROWS, Batches, Restartable, Task

_WORKERS = 2


def grain(task: Task) -> Batches:
    """ArrayRecord and Grain: shuffled over all rows, one read per batch, prefetching threads.

    A batch of indices goes to ``__getitems__``: reading record by record, Grain's default, gave a twentieth of the
    rate, and two processes instead of threads were not faster.
    """
    import grain as grain_library

    names = sorted(name for name in os.listdir(task.converted) if name.endswith('.array_record'))
    source = grain_library.sources.ArrayRecordDataSource([os.path.join(task.converted, name) for name in names])

    def decode(records: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.frombuffer(b''.join(records), np.uint8).reshape(len(records), -1)
        return np.ascontiguousarray(rows[:, :-1]).view(np.float32), rows[:, -1].astype(np.int64)

    indices = grain_library.MapDataset.range(len(source)).seed(0)
    if task.shuffled:
        indices = indices.shuffle()
    batches = indices.batch(task.batch_size, batch_fn=list).map(source.__getitems__).map(decode)
    return batches.to_iter_dataset(grain_library.ReadOptions(num_threads=_WORKERS, prefetch_buffer_size=8))


def dataloader(task: Task) -> Batches:
    """PyTorch's DataLoader over a memory map of our shards, two workers, one read per batch."""
    return _mapped_loader(task, num_workers=_WORKERS, prefetch_factor=8)


def dataloader_inline(task: Task) -> Batches:
    """The same without workers: no transfer between processes, and no reading while the model trains."""
    return _mapped_loader(task, num_workers=0)


def _mapped_loader(task: Task, **options: Any) -> Batches:
    import torch

    # Workers pass batches by file name: by file descriptor, the default, the rate was half.
    torch.multiprocessing.set_sharing_strategy('file_system')
    # The sampler gives a batch of indices at once, so no Python code runs per row.
    rows = task.split.examples
    order = torch.randperm(rows) if task.shuffled else torch.arange(rows)
    sampler = order.split(task.batch_size)
    return torch.utils.data.DataLoader(_MappedRows(task.paths), batch_size=None, sampler=sampler, **options)


class _MappedRows:
    """A map-style dataset for PyTorch that is indexed by batches of rows."""

    def __init__(self, paths: list[str]):
        self._shards = [record_layout.view_records(np.memmap(path, np.uint8, 'r')) for path in paths]
        self._starts = np.cumsum([0, *map(len, self._shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, indices: Any) -> tuple[Any, Any]:
        import torch

        # Sorted, so that a shard's rows are read together in file order; the batch holds the same rows.
        indices = np.sort(indices.numpy())
        waveform = np.empty((len(indices), domain.SPIKE_SAMPLES), np.float32)
        label = np.empty(len(indices), np.int64)
        ends = np.searchsorted(indices, self._starts)
        for shard, start, first, stop in zip(self._shards, self._starts[:-1], ends[:-1], ends[1:], strict=True):
            if first < stop:
                local = indices[first:stop] - start
                if local[-1] - local[0] == stop - first - 1:
                    local = slice(local[0], local[-1] + 1)
                waveform[first:stop] = shard['waveform'][local]
                label[first:stop] = shard['label'][local, 0]
        return torch.from_numpy(waveform), torch.from_numpy(label)


def webdataset(task: Task) -> Batches:
    """WebDataset: tar shards, shuffled by shard and in a buffer, batched by two workers."""
    import torch
    import webdataset as library

    urls = sorted(os.path.join(task.converted, name) for name in os.listdir(task.converted) if name.endswith('.tar'))
    samples = library.WebDataset(urls, shardshuffle=len(urls) if task.shuffled else False)
    if task.shuffled:
        samples = samples.shuffle(SHUFFLED_ROWS // _WORKERS)

    def collate(batch: list[dict[str, bytes]]) -> tuple[Any, Any]:
        rows = np.frombuffer(b''.join(sample['row'] for sample in batch), np.uint8).reshape(len(batch), -1)
        waveform = np.ascontiguousarray(rows[:, :-1]).view(np.float32)
        return torch.from_numpy(waveform), torch.from_numpy(rows[:, -1].astype(np.int64))

    batches = samples.batched(task.batch_size, collation_fn=collate)
    return library.WebLoader(batches, batch_size=None, num_workers=min(_WORKERS, len(urls)), prefetch_factor=8)


def npy_shards(task: Task) -> Batches:
    """NumPy alone: .npy shards in random order, each loaded ahead by a thread, its rows permuted."""
    names = sorted(name for name in os.listdir(task.converted) if name.endswith('.waveform.npy'))
    waveforms = [os.path.join(task.converted, name) for name in names]
    return Restartable(lambda: _npy_batches(waveforms, task))


def _npy_batches(waveforms: list[str], task: Task) -> Iterator[tuple[Any, Any]]:
    import tensorflow as tf

    generator = np.random.default_rng()
    order = generator.permutation(len(waveforms)) if task.shuffled else np.arange(len(waveforms))

    def load(shard: int) -> tuple[np.ndarray, np.ndarray]:
        path = waveforms[shard]
        return np.load(path), np.load(path.replace('.waveform.npy', '.label.npy'))

    waveform, label = np.empty((0, domain.SPIKE_SAMPLES), np.float32), np.empty(0, np.int64)
    with ThreadPoolExecutor(1) as ahead:
        loading = ahead.submit(load, order[0])
        for following in [*order[1:], None]:
            loaded = loading.result()
            loading = ahead.submit(load, following) if following is not None else None
            if len(label):
                loaded = np.concatenate([waveform, loaded[0]]), np.concatenate([label, loaded[1]])
            waveform, label = loaded
            rows = generator.permutation(len(label)) if task.shuffled else None
            whole = len(label) // task.batch_size * task.batch_size if loading else len(label)
            for first in range(0, whole, task.batch_size):
                chosen = slice(first, min(first + task.batch_size, whole))
                if rows is not None:
                    chosen = rows[chosen]
                yield tf.convert_to_tensor(waveform[chosen]), tf.convert_to_tensor(label[chosen])
            left = slice(whole, None) if rows is None else rows[whole:]
            waveform, label = waveform[left], label[left]


def bare_read(task: Task) -> Batches:
    """The bare read() of the files, unbuffered, into one buffer: no batches, no order, nothing decoded."""

    def parts() -> Iterator[tuple[Any, Any]]:
        buffer = memoryview(bytearray(READ_BYTES))
        read = counted = 0
        for path in task.paths:
            with open(path, 'rb', buffering=0) as file:
                while size := file.readinto(buffer):
                    read += size
                    rows = read // record_layout.RECORD_BYTES - counted
                    counted += rows
                    yield buffer[:size], range(rows)

    return Restartable(parts)
