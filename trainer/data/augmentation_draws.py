"""Random numbers for the augmentation of training batches, the same in a resumed run as in an undisturbed one."""

from __future__ import annotations

import tensorflow as tf

from beam_pipelines import keyed_random

# What each of an example's numbers decides, see ``models.augmentation``.
DRAWS = (
    'is_filtered', 'cutoff', 'gain', 'jitter', 'hum', 'mains', 'hum_phase', 'baseline_offset', 'baseline_change'
)  # fmt: skip

# Keeps these numbers apart from others that are drawn with the run's seed.
_STREAM = 0x415547


def add_draws(batches: tf.data.Dataset, seed: int, first_batch: int = 0) -> tf.data.Dataset:
    """Adds to each batch what ``models.augmentation.Augmentation`` takes.

    Parameters
    ----------
    batches : of (inputs, *columns); the inputs are waveforms (b, 160), or a dict of columns such as those of
        ``online_batches``. All batches are of the same size.
    seed : the numbers are a function of it and of the batch's number in the run.
    first_batch : the number of the first of these batches.

    Returns
    -------
    Dataset of (inputs, *columns), in which the inputs are a dict: ``waveform`` or what it was, and ``augmentation``
    (b, 9) float32 in [0, 1).
    """
    key = int(keyed_random.derive_key(seed, _STREAM) >> 1)
    rows = tf.nest.flatten(batches.element_spec)[0].shape[0]

    def add(number: tf.Tensor, batch: tuple) -> tuple:
        inputs, *columns = batch
        if not isinstance(inputs, dict):
            inputs = {'waveform': inputs}
        draws = tf.random.stateless_uniform((rows, len(DRAWS)), tf.stack([key, number]), alg='philox')
        return {**inputs, 'augmentation': draws}, *columns

    return batches.enumerate(first_batch).map(lambda number, batch: add(number, batch), num_parallel_calls=1)
