import contextlib
import os
import pty
import re
import time

import keras
import numpy as np
import pytest

from trainer.training.input_wait import InputWait, LogInputWait
from trainer.training.progress import TrainingProgress

BATCH, STEPS, EPOCHS = 4, 15, 2


def fit_slowly() -> None:
    """Trains for a second or two: 15 steps of at least 50 ms, two epochs."""

    class Wait(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(0.05)

        def on_epoch_end(self, epoch, logs=None):
            logs |= {
                'val_loss': 0.75,
                'val_k4_loss': 0.25,
                'val_k5_loss': 0.5,
                'val_consensus_loss': 0.375,
                'val_k4_auc': 0.75,
            }

    data = np.zeros((BATCH * STEPS, 2), np.float32), np.zeros((BATCH * STEPS, 1), np.float32)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss='mse', jit_compile=False)
    callbacks = [Wait(), LogInputWait(InputWait()), TrainingProgress(BATCH, STEPS, EPOCHS)]
    model.fit(*data, batch_size=BATCH, epochs=EPOCHS, validation_data=data, callbacks=callbacks, verbose=0)


@pytest.fixture(scope='module')
def terminal_output() -> str:
    """What a terminal is sent while a model trains."""
    reading, writing = pty.openpty()
    with open(writing, 'w', encoding='utf-8') as terminal:
        with contextlib.redirect_stderr(terminal):
            fit_slowly()
        terminal.flush()
        os.set_blocking(reading, False)
        output = os.read(reading, 1 << 16).decode()
    os.close(reading)
    return output


def test_terminal_is_shown_share_rate_time_left_and_loss_within_the_epoch(terminal_output):
    updates = re.findall(r'epoch 1/2 +\d+ %  ([\d,]+) examples/s  (\d+) s left  loss 0\.0000', terminal_output)
    assert updates
    for rate, _ in updates:
        assert 1 / 0.05 < int(rate) < BATCH / 0.05  # examples and not steps


def test_terminal_line_rewrites_itself_within_the_epoch(terminal_output):
    assert terminal_output.count('\n') == EPOCHS
    assert terminal_output.count('\repoch') > EPOCHS


def test_time_left_ends_at_zero(terminal_output):
    [_, last] = re.findall(r'(\d+) s left  loss [\d.]+  worst member', terminal_output)
    assert last == '0'


def test_worst_member_is_not_the_sum(terminal_output):
    assert re.findall(r'worst member on validation ([\d.]+)', terminal_output) == ['0.5000'] * EPOCHS


def test_share_of_the_time_that_went_into_waiting_for_input_is_shown(terminal_output):
    shares = re.findall(r'worst member on validation [\d.]+  input wait ([\d.]+)%', terminal_output)
    assert shares == ['0.00', '0.00']  # no pipeline was measured


def test_file_gets_plain_lines(tmp_path):
    with open(tmp_path / 'log', 'w', encoding='utf-8') as log, contextlib.redirect_stderr(log):
        fit_slowly()
    lines = (tmp_path / 'log').read_text().splitlines()
    assert [line[:9] for line in lines] == ['epoch 1/2', 'epoch 2/2']
    assert '\r' not in (tmp_path / 'log').read_text()
