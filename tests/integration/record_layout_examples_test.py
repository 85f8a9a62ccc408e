"""The readers that docs/record_layout.md shows work as pasted and give what TensorFlow's own parser gives."""

import re

import numpy as np
import pytest

from tests.support.places import ROOT

_FOLDER = 'sero_spikes/original/1.1.0'


@pytest.fixture(scope='module')
def expected(data_dir) -> dict[str, np.ndarray]:
    """The training spikes of `original` by ``tf.io.parse_example``: waveform (n, 160) in pA and label (n,)."""
    import tensorflow as tf

    path = data_dir / _FOLDER / 'sero_spikes-train.tfrecord-00000-of-00001'
    features = {'waveform': tf.io.FixedLenFeature([160], tf.float32), 'label': tf.io.FixedLenFeature([], tf.int64)}
    parsed = tf.io.parse_example(list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()), features)
    return {name: values.numpy() for name, values in parsed.items()}


@pytest.fixture
def run_example(data_dir):
    """Runs the one example on the page that holds a word, on the dataset built for tests; returns its variables."""

    def run(word: str) -> dict:
        page = (ROOT / 'docs/record_layout.md').read_text()
        (code,) = [
            code for code in re.findall(r'^```python\n(.*?)^```$', page, re.DOTALL | re.MULTILINE) if word in code
        ]
        assert f'data/{_FOLDER}' in code
        variables = {'__name__': 'example'}
        exec(code.replace(f'data/{_FOLDER}', str(data_dir / _FOLDER)), variables)
        return variables

    return run


def _assert_same_in_another_order(batches, expected) -> None:
    """Compares batches of a shuffling reader, each spike with its label, with the spikes in stored order."""
    given = {name: np.concatenate([np.asarray(batch[name]) for batch in batches]) for name in expected}
    assert given['waveform'].dtype == np.float32 and given['label'].dtype == np.int64
    assert given['waveform'].shape == expected['waveform'].shape
    assert not np.array_equal(given['waveform'], expected['waveform'])
    given_order, order = (np.lexsort(values['waveform'].T) for values in (given, expected))
    for name in expected:
        np.testing.assert_array_equal(given[name][given_order], expected[name][order], err_msg=name)


def _sizes(batches) -> list[int]:
    return [len(batch['label']) for batch in batches]


def _sizes_of_64(count: int) -> list[int]:
    return [64] * (count // 64) + [count % 64] * (count % 64 > 0)


def test_tfds_reads_the_dataset(run_example, expected):
    examples = list(run_example('tensorflow_datasets')['dataset'])
    for name, values in expected.items():
        np.testing.assert_array_equal(np.stack([example[name] for example in examples]), values)


def test_numpy_reads_a_shard(run_example, expected):
    variables = run_example('view_records(rows)')
    for name, values in expected.items():
        np.testing.assert_array_equal(variables[name], values)


def test_numpy_reads_a_shard_without_code_of_this_project(run_example, expected):
    variables = run_example('json.load')
    assert 'record_layout' not in variables
    np.testing.assert_array_equal(variables['waveform'], expected['waveform'])


def test_pytorch_reads_shuffled_batches(run_example, expected):
    torch = pytest.importorskip('torch')
    batches = list(run_example('torch')['loader'])
    assert all(isinstance(values, torch.Tensor) for batch in batches for values in batch.values())
    assert _sizes(batches) == _sizes_of_64(len(expected['label']))
    _assert_same_in_another_order(batches, expected)


def test_grain_reads_shuffled_batches(run_example, expected):
    pytest.importorskip('grain')
    batches = list(run_example('grain')['dataset'])
    assert _sizes(batches) == _sizes_of_64(len(expected['label']))
    _assert_same_in_another_order(batches, expected)
