"""The ways to feed a training that ``input_throughput`` compares: ours, and each peer as its users would write it.

A way is a function of a ``Task``; what it returns is ready to be iterated once and gives (waveform, label) batches of
one pass over the data. What a user pays once and not at every pass is done before it returns: imports, loading into
memory, filling a cache. ``input_conversions`` has made the files that are not TFRecords.

Batches are what a training step of the way's framework takes: TensorFlow's tensors, PyTorch's for its DataLoader and
for WebDataset, arrays for Grain, which JAX takes.

In shuffled order each way shuffles as is natural to it; in stored order none does, though files may be interleaved.
Where a library leaves a choice, the fastest of those tried on two cores was taken; the comments say against what.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout

if TYPE_CHECKING:  # It imports TensorFlow.
    from trainer.data.stored_dataset import StoredSplit

SHUFFLED_ROWS = 16_384
_READ_BYTES = 1 << 20
_BLOCK_ROWS = 1024
_WORKERS = 2
_LABEL_OFFSET = record_layout.RECORD_DTYPE.fields['label'][1]


@dataclasses.dataclass(frozen=True)
class Task:
    """What a way has to deliver.

    Attributes
    ----------
    split : the data.
    data_dir : the TFDS data directory that it is in.
    converted : the folder with the peers' own formats of it.
    batch_size : rows in a batch.
    shuffled : whether the rows are shuffled.
    endless : whether to go on with the next pass; only the ways on tf.data can.
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


def block(task: Task) -> Iterable:
    """Our reader."""
    from trainer.data.batches import evaluation_batches, training_batches

    if task.shuffled:
        return _limited(training_batches(task.split, task.batch_size, seed=0), task)
    batches = evaluation_batches(task.split, task.batch_size)
    # The last of these batches may be padded; `valid` says which rows are rows.
    return _valid_rows(batches) if 'valid' in batches.element_spec else _finish(batches.map(_pair), task)


def online_recipes(task: Task) -> tuple[Iterable, Callable]:
    """Returns the batches of our online input, and what makes waveforms of such a batch within the training step."""
    from trainer.data.online_batches import online_batches, open_spike_bank
    from trainer.models.online_synthesis import SpikeSynthesis

    bank = open_spike_bank(task.split)
    return _limited(online_batches(task.split, bank, task.batch_size, seed=0), task), SpikeSynthesis(bank)


def online(task: Task) -> Iterable:
    """Our online input, its synthesis included."""
    import tensorflow as tf

    recipes, synthesis = online_recipes(task)
    make_waveforms = tf.function(lambda recipe: synthesis(recipe))

    def batches() -> Iterator:
        for recipe, label in recipes:
            yield make_waveforms(recipe), label

    return _Restartable(batches)


def flrd(task: Task) -> Iterable:
    """The prototype of our reader: FixedLengthRecordDataset with blocks of rows, shuffled within the block."""
    import tensorflow as tf

    lengths = [shard.examples for shard in task.split.shards]
    row_bytes = record_layout.RECORD_BYTES

    def read(path, length):
        rest = length % _BLOCK_ROWS
        whole = tf.data.FixedLengthRecordDataset(
            path, _BLOCK_ROWS * row_bytes, footer_bytes=rest * row_bytes, buffer_size=_READ_BYTES
        )
        last = tf.data.FixedLengthRecordDataset(
            path, tf.maximum(rest, 1) * row_bytes, header_bytes=(length - rest) * row_bytes, buffer_size=_READ_BYTES
        )
        # Of no rest at all there is no block: take(0).
        return whole.concatenate(last.take(tf.minimum(rest, 1)))

    def decode(record):
        words = tf.reshape(tf.io.decode_raw(record, tf.int32), (-1, row_bytes // 4))
        if task.shuffled:
            words = tf.gather(words, tf.random.shuffle(tf.range(tf.shape(words)[0])))
        first = record_layout.WAVEFORM_OFFSET // 4
        waveform = tf.bitcast(words[:, first : first + domain.SPIKE_SAMPLES], tf.float32)
        shift = 8 * (_LABEL_OFFSET % 4)
        label = tf.bitwise.bitwise_and(tf.bitwise.right_shift(words[:, _LABEL_OFFSET // 4], shift), 0xFF)
        return waveform, tf.cast(label, tf.int64)

    files = tf.data.Dataset.from_tensor_slices((task.paths, np.array(lengths, np.int64)))
    if task.shuffled:
        files = files.shuffle(len(lengths))
    records = files.interleave(
        read, cycle_length=tf.data.AUTOTUNE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=not task.shuffled
    )
    batches = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=not task.shuffled)
    return _finish(batches.rebatch(task.batch_size), task)


def naive(task: Task) -> Iterable:
    """tf.data as most write it first: TFRecordDataset, parse_single_example, batch."""
    import tensorflow as tf

    records = _shuffled(tf.data.TFRecordDataset(task.paths), task)

    def parse(record):
        return _pair(tf.io.parse_single_example(record, _parsed_features()))

    return _finish(records.map(parse).batch(task.batch_size), task, prefetch=False)


def tfds(task: Task) -> Iterable:
    """tfds.load, batch, prefetch."""
    import tensorflow_datasets

    import tfds_sero  # noqa: F401 (registers the datasets)

    config = task.split.name.partition('/')[0]
    rows = tensorflow_datasets.load(
        f'sero_spikes/{config}',
        split='train',
        data_dir=task.data_dir,
        as_supervised=True,
        shuffle_files=task.shuffled,
        # Small datasets would go into memory at the first pass; `cache` shows what that does.
        read_config=tensorflow_datasets.ReadConfig(try_autocache=False),
        # What its performance guide advises: parse no feature that is not used.
        decoders=tensorflow_datasets.decode.PartialDecoding({'waveform': True, 'label': True}),
    )
    return _finish(_shuffled(rows, task).batch(task.batch_size), task)


def best_practice(task: Task) -> Iterable:
    """tf.data by its performance guide: parallel interleave, batch then parse_example, AUTOTUNE, prefetch.

    The files are interleaved in blocks of records: with single ones the threads' hand-over makes it ten times slower
    than reading one file after the other.
    """
    records = _interleaved_blocks(task)
    if task.shuffled or task.batch_size != _BLOCK_ROWS:
        records = _shuffled(records.unbatch(), task).batch(task.batch_size)
    return _finish(_parsed(records, task), task)


def cache(task: Task) -> Iterable:
    """tf.data with cache(): of parsed rows where they are shuffled, as the guide says, else of parsed batches."""
    import tensorflow as tf

    # Parsed in batches: row by row, filling the cache takes ten times as long and leaves the same rows.
    parsed = _parsed(tf.data.TFRecordDataset(task.paths).batch(task.batch_size), task)
    cached = (parsed.unbatch() if task.shuffled else parsed).cache()
    for _ in cached:
        pass
    return _finish(_shuffled(cached, task).batch(task.batch_size) if task.shuffled else cached, task)


def memory(task: Task) -> Iterable:
    """tf.data from memory, as its guide shows it: from_tensor_slices, shuffle, batch."""
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices(_load_rows(task))
    return _finish(_shuffled(rows, task).batch(task.batch_size), task)


def memory_gather(task: Task) -> Iterable:
    """tf.data from memory, a gather a batch by a permutation of all rows: what Keras does with arrays."""
    import tensorflow as tf

    waveform, label = map(tf.constant, _load_rows(task))
    rows, whole = len(label), len(label) // task.batch_size * task.batch_size

    def batches_of_indices(_):
        indices = tf.range(rows, dtype=tf.int64)
        if task.shuffled:
            indices = tf.random.shuffle(indices)
        full = tf.data.Dataset.from_tensor_slices(tf.reshape(indices[:whole], (-1, task.batch_size)))
        return full.concatenate(tf.data.Dataset.from_tensors(indices[whole:]).take(int(whole < rows)))

    indices = tf.data.Dataset.range(1).flat_map(batches_of_indices)
    batches = indices.map(
        lambda index: (tf.gather(waveform, index), tf.gather(label, index)), num_parallel_calls=tf.data.AUTOTUNE
    )
    return _finish(batches, task)


def grain(task: Task) -> Iterable:
    """ArrayRecord and Grain: shuffled over all rows, one read of a batch's records together, prefetching threads.

    A batch of indices goes to ``__getitems__``: reading record by record, which is Grain's default, has given a
    twentieth of the rate, and with two processes instead of threads it was not faster.
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


def dataloader(task: Task) -> Iterable:
    """PyTorch's DataLoader over a memory map of our shards, two workers, a batch's rows taken together."""
    return _mapped_loader(task, num_workers=_WORKERS, prefetch_factor=8)


def dataloader_inline(task: Task) -> Iterable:
    """The same without workers: nothing is handed over, and nothing is read while the model trains."""
    return _mapped_loader(task, num_workers=0)


def _mapped_loader(task: Task, **options) -> Iterable:
    import torch

    # Batches come from the workers by file name: by file descriptor, the default, has given half of the rate.
    torch.multiprocessing.set_sharing_strategy('file_system')
    # The sampler gives a batch of indices at once, so that no Python code runs for a single row.
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

    def __getitem__(self, indices):
        import torch

        # Sorted, so that a shard's rows are taken together and in the order of the file; the batch is the same set.
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


def webdataset(task: Task) -> Iterable:
    """WebDataset: tar shards, shuffled by shard and in a buffer, batched by two workers."""
    import torch
    import webdataset as library

    urls = sorted(os.path.join(task.converted, name) for name in os.listdir(task.converted) if name.endswith('.tar'))
    samples = library.WebDataset(urls, shardshuffle=len(urls) if task.shuffled else False)
    if task.shuffled:
        samples = samples.shuffle(SHUFFLED_ROWS // _WORKERS)

    def collate(batch: list[dict]) -> tuple:
        rows = np.frombuffer(b''.join(sample['row'] for sample in batch), np.uint8).reshape(len(batch), -1)
        waveform = np.ascontiguousarray(rows[:, :-1]).view(np.float32)
        return torch.from_numpy(waveform), torch.from_numpy(rows[:, -1].astype(np.int64))

    batches = samples.batched(task.batch_size, collation_fn=collate)
    return library.WebLoader(batches, batch_size=None, num_workers=min(_WORKERS, len(urls)), prefetch_factor=8)


def npy_shards(task: Task) -> Iterable:
    """NumPy alone: .npy shards in random order, each loaded ahead by a thread and its rows permuted."""
    names = sorted(name for name in os.listdir(task.converted) if name.endswith('.waveform.npy'))
    waveforms = [os.path.join(task.converted, name) for name in names]
    return _Restartable(lambda: _npy_batches(waveforms, task))


def _npy_batches(waveforms: list[str], task: Task) -> Iterator:
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


def bare_read(task: Task) -> Iterable:
    """The bare read() of the files, unbuffered, into one buffer: no batches, no order, nothing decoded."""

    def parts() -> Iterator:
        buffer = memoryview(bytearray(_READ_BYTES))
        read = counted = 0
        for path in task.paths:
            with open(path, 'rb', buffering=0) as file:
                while size := file.readinto(buffer):
                    read += size
                    rows = read // record_layout.RECORD_BYTES - counted
                    counted += rows
                    yield buffer[:size], range(rows)

    return _Restartable(parts)


@dataclasses.dataclass(frozen=True)
class Way:
    """One way: how to open it, what it needs and what kind it is.

    Attributes
    ----------
    open : from a task to its batches.
    libraries : modules that it needs beyond those of this project.
    converted : the format that it reads: a name in ``input_conversions``, or none for our shards.
    in_memory : whether the data are in memory before the first batch.
    orders : the orders it can deliver.
    """

    open: Callable[[Task], Iterable]
    libraries: tuple[str, ...] = ()
    converted: str | None = None
    in_memory: bool = False
    orders: tuple[str, ...] = ('shuffled', 'stored')


WAYS = {
    'block': Way(block),
    'online': Way(online, in_memory=True, orders=('shuffled',)),
    'flrd': Way(flrd),
    'naive': Way(naive),
    'tfds': Way(tfds),
    'best_practice': Way(best_practice),
    'cache': Way(cache, in_memory=True),
    'memory': Way(memory, in_memory=True),
    'memory_gather': Way(memory_gather, in_memory=True),
    'grain': Way(grain, ('grain', 'array_record'), 'array_record'),
    'dataloader': Way(dataloader, ('torch',)),
    'dataloader_inline': Way(dataloader_inline, ('torch',)),
    'webdataset': Way(webdataset, ('torch', 'webdataset'), 'tar'),
    'npy_shards': Way(npy_shards, converted='npy'),
    'bare_read': Way(bare_read),
}
OURS = ('block', 'online')


class _Restartable:
    """An iterable over a generator function."""

    def __init__(self, start: Callable[[], Iterator]):
        self._start = start

    def __iter__(self) -> Iterator:
        return self._start()


def _valid_rows(batches) -> Iterable:
    def pairs() -> Iterator:
        for batch in batches:
            # Looking at every row of `valid` would cost more than reading it: only the last row tells.
            if batch['valid'][-1]:
                yield batch['waveform'], batch['label']
            else:
                yield batch['waveform'][batch['valid']], batch['label'][batch['valid']]

    return _Restartable(pairs)


def _limited(batches, task: Task):
    return batches if task.endless else batches.take(task.split.examples // task.batch_size)


def _finish(batches, task: Task, prefetch: bool = True):
    import tensorflow as tf

    batches = batches.repeat() if task.endless else batches
    return batches.prefetch(tf.data.AUTOTUNE) if prefetch else batches


def _shuffled(rows, task: Task):
    return rows.shuffle(SHUFFLED_ROWS) if task.shuffled else rows


def _interleaved_blocks(task: Task):
    import tensorflow as tf

    files = tf.data.Dataset.from_tensor_slices(task.paths)
    if task.shuffled:
        files = files.shuffle(len(task.paths))
    return files.interleave(
        lambda path: tf.data.TFRecordDataset(path, buffer_size=_READ_BYTES).batch(_BLOCK_ROWS),
        cycle_length=tf.data.AUTOTUNE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=not task.shuffled,
    )


def _parsed_features() -> dict:
    import tensorflow as tf

    return {
        'waveform': tf.io.FixedLenFeature((domain.SPIKE_SAMPLES,), tf.float32),
        'label': tf.io.FixedLenFeature((), tf.int64),
    }


def _parsed(batches, task: Task):
    import tensorflow as tf

    return batches.map(
        lambda records: _pair(tf.io.parse_example(records, _parsed_features())),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=not task.shuffled,
    )


def _pair(row: dict) -> tuple:
    return row['waveform'], row['label']


def _load_rows(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Loads the whole split: (n, 160) float32 and (n,) int64."""
    waveform = np.empty((task.split.examples, domain.SPIKE_SAMPLES), np.float32)
    label = np.empty(task.split.examples, np.int64)
    first = 0
    for shard in task.split.shards:
        rows = record_layout.view_records(np.memmap(shard.path, np.uint8, 'r'))
        waveform[first : first + len(rows)] = rows['waveform']
        label[first : first + len(rows)] = rows['label'][:, 0]
        first += len(rows)
    return waveform, label
