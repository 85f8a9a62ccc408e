import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.commands import run_command
from tests.support.training_runs import TINY_RUN, logged, train, train_arguments

STEPS_PER_EPOCH = TINY_RUN['examples_per_epoch'] // TINY_RUN['batch_size']
EPOCH_ENDS = [STEPS_PER_EPOCH * epoch for epoch in (1, 2, 3)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def events(synthetic_run) -> EventAccumulator:
    accumulator = EventAccumulator(str(synthetic_run[0] / 'tensorboard'), size_guidance={'tensors': 0})
    accumulator.Reload()
    return accumulator


def test_curves_have_orderly_names_and_the_step_as_their_axis(events):
    scored = [
        f'validation/{quantity}/{of}' for quantity in ('loss', 'accuracy', 'auc') for of in ('k5', 'k8', 'consensus')
    ]
    names = ['train/loss/k5', 'train/loss/k8', 'train/learning_rate', 'train/input_wait', *scored]
    assert {name for name in events.Tags()['tensors'] if name.startswith(('train/', 'validation/'))} == set(names)
    for name in names:
        assert [event.step for event in events.Tensors(name)] == EPOCH_ENDS


def test_histogram_of_every_kernel_is_there_each_epoch(events):
    names = [name for name in events.Tags()['tensors'] if name.startswith('weights/')]
    assert names == [
        f'weights/{member}/{layer}/kernel' for member in ('k5', 'k8') for layer in ('1_conv1d', '2_conv1d', '3_dense')
    ]
    for name in names:
        histograms = [tf.make_ndarray(event.tensor_proto) for event in events.Tensors(name)]
        assert len(histograms) == len(EPOCH_ENDS)
        assert not np.array_equal(histograms[0], histograms[-1])
    # Of the last: buckets of (left, right, count).
    assert sum(histograms[0][:, 2]) == 34 * 64 * 2


def test_training_spikes_are_shown_once(events):
    [event] = events.Tensors('training spikes')
    width, height, png = tf.make_ndarray(event.tensor_proto)[:3]
    assert tf.io.decode_png(png).shape[:2] == (int(height), int(width))


def test_profile_of_early_steps_is_written_and_the_command_says_where(data_dir, tmp_path):
    config = TINY_RUN | {'epochs': 1, 'kernel_sizes': (5,)}
    result = run_command('sero-train', *train_arguments(config, data_dir, tmp_path / 'run'), '--profile')
    said = re.search(r'^profile of steps 11 to 20 in (\S+) \(', result.stderr, re.MULTILINE)
    assert said, result.stderr
    assert said[1] == str(tmp_path / 'run' / 'tensorboard' / 'plugins' / 'profile')
    [folder] = pathlib.Path(said[1]).iterdir()
    [trace] = folder.glob('*.xplane.pb')
    assert b'Conv' in trace.read_bytes()
    # The profile stands beside the curves and does not hide them.
    assert list(logged(tmp_path / 'run', 'train/loss/k5')) == EPOCH_ENDS[:1]


def test_run_that_is_too_short_for_a_profile_says_so(data_dir, tmp_path, capfd):
    config = TINY_RUN | {'epochs': 1, 'kernel_sizes': (5,), 'examples_per_epoch': 320}
    train(config, str(data_dir), str(tmp_path / 'run'), profile=True)
    assert 'no profile: it begins with step 11, and 10 were made' in capfd.readouterr().err.splitlines()
