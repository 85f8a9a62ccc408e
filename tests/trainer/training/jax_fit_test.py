"""On JAX the next batch is put on the devices before anybody waits for the step."""

import json
import os
import subprocess
import sys
import textwrap

from tests.support.places import ROOT

_PROGRAM = """
    import json, time
    from trainer.backend import start_keras
    start_keras('jax')
    import keras, numpy as np, tensorflow as tf
    from trainer.training.distributed_fit import Extent
    from trainer.training.input_wait import InputWait
    from trainer.training.jax_fit import PlacedBatches
    from trainer.training.strategies import open_strategy

    events = []

    class Noted(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            events.append(f'end of step {batch}')

    strategy = open_strategy('auto')

    def place(rows):
        events.append(f'batch {rows[0, 0]:.0f} is placed')
        return strategy.place(rows)

    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.0), 'mse')
    input_wait = InputWait()

    def slow_rows(number):
        time.sleep(0.5 if number else 0)  # the clock stands before the first
        return np.full((4, 1), number, np.float32)

    numbers = tf.data.Dataset.range(9).map(lambda number: tf.numpy_function(slow_rows, [number], tf.float32))
    batches = PlacedBatches(numbers.map(lambda x: (x, x)), place, input_wait)
    strategy.fit(model, batches, Extent(0, 1, 3), [Noted()])
    print(json.dumps([strategy.replicas, events, input_wait.seconds]))
    del batches  # before Python ends, which cannot wait for slow rows
"""


def test_the_next_batch_is_on_the_devices_before_a_step_is_waited_for():
    environment = os.environ | {'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}
    command = [sys.executable, '-c', textwrap.dedent(_PROGRAM)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    replicas, events, waited_s = json.loads(result.stdout.splitlines()[-1])
    assert replicas == 2
    columns = [event for number in range(4) for event in [f'batch {number} is placed'] * 2]
    steps = [f'end of step {number}' for number in range(3)]
    assert events == [*columns[:4], steps[0], *columns[4:6], steps[1], *columns[6:], steps[2]]
    # The second and the third step end before their next batches are there.
    assert 1 <= waited_s < 3
