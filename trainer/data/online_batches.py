"""Batches of indices and weights, from which the training step makes synthetic spikes on the device.

The spikes are those that ``batches.training_batches`` reads from the stored dataset with the same arguments.
"""

from __future__ import annotations

import os

import google_crc32c
import numpy as np
import tensorflow as tf

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import METADATA_FILE
from beam_pipelines.errors import UserError
from beam_pipelines.storage.arrays import decode_npy
from beam_pipelines.synthesis.synthesizer import Recipe, SpikeBank, Synthesizer
from trainer.data.batches import shuffled_batches
from trainer.data.shards import Shard, find_shard, read_file, read_rows
from trainer.data.stored_dataset import StoredSplit

_DRAWN = 16_384  # examples drawn at a time, so that Python's overhead is negligible


def open_spike_bank(split: StoredSplit) -> Synthesizer:
    """Loads what a synthetic dataset was made from: recorded spikes, noise masks, recipe.

    Raises
    ------
    UserError
        If the dataset is not synthetic, or its spike bank or noise masks are missing or damaged.
    """
    synthesis = split.metadata.synthesis
    if not synthesis:
        raise UserError(f'{split.folder}: input online makes synthetic spikes, and {split.name} holds recorded ones')
    if not synthesis.spike_bank or synthesis.spike_bank_examples is None:
        raise UserError(f'{split.folder}/{METADATA_FILE}: synthesis has no spike_bank; build the dataset anew')
    metadata_path = os.path.join(split.folder, METADATA_FILE)
    if sum(synthesis.examples) != split.examples:
        problem = f'expected {split.examples:,} in all, as many as the dataset has'
        raise UserError(problem, file=metadata_path, field='synthesis.examples', value=synthesis.examples)
    bank = _bank_shard(split)
    rows = read_rows(bank, 0, bank.examples)
    records = record_layout.view_records(rows)
    _check_crc32c(bank.path, rows.tobytes(), synthesis.spike_bank_crc32c)
    spike_bank = SpikeBank(
        records['waveform'],
        record_layout.decode_varints(records['label']),
        _read_noise_masks(os.path.join(split.folder, synthesis.noise_masks), synthesis.noise_masks_crc32c),
    )
    try:
        recipe = Recipe(*synthesis.masks_per_spike, *synthesis.weights)
        return Synthesizer(spike_bank, synthesis.examples, split.metadata.seed, recipe)
    except (UserError, ValueError) as error:
        raise UserError(str(error), file=metadata_path, field='synthesis') from None


def read_bank_cells(split: StoredSplit) -> np.ndarray:
    """Returns the cell of each spike of the bank that ``open_spike_bank`` has opened: (s,) int64."""
    bank = _bank_shard(split)
    return record_layout.decode_varints(record_layout.view_records(read_rows(bank, 0, bank.examples))['cell'])


def _bank_shard(split: StoredSplit) -> Shard:
    synthesis = split.metadata.synthesis
    assert synthesis and synthesis.spike_bank and synthesis.spike_bank_examples is not None
    path = os.path.join(split.folder, synthesis.spike_bank)
    return find_shard(path, synthesis.spike_bank_examples, METADATA_FILE, synthesis.spike_bank_crc32c)


def online_batches(
    split: StoredSplit, bank: Synthesizer, batch_size: int, seed: int, first_batch: int = 0
) -> tf.data.Dataset:
    """Returns an endless stream of draws for training batches; reads no waveforms.

    Parameters
    ----------
    split, batch_size, seed, first_batch : see ``batches.training_batches``.
    bank : the split's, from ``open_spike_bank``.

    Returns
    -------
    Dataset of ({spike (b,) int32, masks (b, 4) int32, weights (b, 4) float32}, label (b,) int64): what
    ``online_synthesis.SpikeSynthesis`` takes, and 0 SER or 1 NSER.
    """
    starts = np.cumsum([0, *(shard.examples for shard in split.shards)])
    # Drawn once, at the start: some tens of bytes per example, and no Python in the pipeline.
    with tf.device('/cpu:0'):
        spike, masks, weights, label = map(tf.constant, _draw_all(bank, split.examples))

    def read(shard: tf.Tensor, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        example = tf.gather(starts, shard) + rows
        draws = {
            'spike': tf.gather(spike, example),
            'masks': tf.cast(tf.gather(masks, example), tf.int32),
            'weights': tf.gather(weights, example),
        }
        return draws, tf.cast(tf.gather(label, example), tf.int64)

    return shuffled_batches(split, batch_size, seed, first_batch, read)


def _draw_all(bank: Synthesizer, examples: int) -> tuple[np.ndarray, ...]:
    """Returns (spike (n,) int32, masks (n, 4) uint16 or int32, weights (n, 4) float32, label (n,) uint8)."""
    few_masks = len(bank.noise_masks) <= np.iinfo(np.uint16).max
    spike, label = np.empty(examples, np.int32), np.empty(examples, np.uint8)
    masks = np.empty((examples, 4), np.uint16 if few_masks else np.int32)
    weights = np.empty((examples, 4), np.float32)
    for first in range(0, examples, _DRAWN):
        part = slice(first, min(first + _DRAWN, examples))
        draws = bank.draw(np.arange(part.start, part.stop))
        spike[part], masks[part], weights[part], label[part] = draws.spike, draws.masks, draws.weights, draws.label
    return spike, masks, weights, label


def _read_noise_masks(path: str, promised: str) -> np.ndarray:
    content = read_file(path)
    _check_crc32c(path, content, promised)
    masks = decode_npy(content, path)
    if masks.shape[1:] != (domain.SPIKE_SAMPLES,) or not np.isfinite(masks).all():
        raise UserError(f'expected rows of {domain.SPIKE_SAMPLES} finite numbers', file=path)
    return masks


def _check_crc32c(path: str, content: bytes, promised: str | None) -> None:
    crc32c = f'{google_crc32c.value(content):08x}'
    if crc32c != promised:
        raise UserError(f'{path}: CRC-32C {crc32c}, {METADATA_FILE} promises {promised}')
