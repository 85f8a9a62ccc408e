import numpy as np
import tensorflow as tf

from trainer.data.augmentation_draws import DRAWS, add_draws

BATCHES = tf.data.Dataset.range(40).map(lambda row: (tf.fill((160,), float(row)), row)).batch(8, drop_remainder=True)


def draws_of(first_batch: int, seed: int = 7) -> np.ndarray:
    batches = add_draws(BATCHES.skip(first_batch), seed, first_batch)
    return np.array([inputs['augmentation'] for inputs, _ in batches.as_numpy_iterator()])


def test_resumed_run_draws_what_an_undisturbed_one_draws():
    np.testing.assert_array_equal(draws_of(2), draws_of(0)[2:])


def test_draws_are_even_and_differ_by_batch_row_and_seed():
    draws = draws_of(0)
    assert draws.shape == (5, 8, len(DRAWS)) and draws.dtype == np.float32
    assert len(np.unique(draws)) > 0.99 * draws.size
    assert not np.isin(draws, draws_of(0, seed=8)).any()
    assert abs(draws.mean() - 0.5) < 0.06 and 0 <= draws.min() < 0.02 and 0.98 < draws.max() < 1


def test_columns_of_a_batch_are_kept():
    for (before, label), (inputs, after) in zip(BATCHES, add_draws(BATCHES, 0), strict=True):
        np.testing.assert_array_equal(inputs['waveform'], before)
        np.testing.assert_array_equal(label, after)
    online = BATCHES.map(lambda waveform, label: ({'spike': label}, label))
    assert set(next(iter(add_draws(online, 0)))[0]) == {'spike', 'augmentation'}
