"""Keeps a run: checkpoints by time and by step, the best weights of each member, and an end when it is asked for."""

from __future__ import annotations

import math
import os
import time

import keras

from beam_pipelines.cli.signals import Interrupted, StopRequests
from beam_pipelines.errors import UserError
from trainer.data.stored_dataset import StoredSplit
from trainer.evaluation import calibration
from trainer.models import model_info
from trainer.models.ensemble import members_of
from trainer.models.exported_consensus import remove_consensus
from trainer.models.files import save_whole
from trainer.models.trained import MEMBERS_FOLDER
from trainer.training import checkpoints
from trainer.training.optimization import learning_rate_at


class RunKeeper(keras.callbacks.Callback):
    """Saves a run while it is trained, and stops it.

    After each epoch the members that have improved on validation are saved. A member that has not improved for
    ``patience`` epochs is stopped: what it learns from then on is not kept. When all are stopped the run has ended.

    Parameters
    ----------
    workdir, config, train_split : of the run.
    ensemble : the compiled ensemble.
    state : of the run, is kept up to date: ``step``, ``epoch`` (how many have ended), ``best`` and ``best_epoch`` of
        each member; ``init_from``, see ``model_info.describe``.
    stop_requests : is asked after each step; or those that several processes share.
    writes : whether this process saves; of several that train the same model, one does.

    Attributes
    ----------
    steps_per_epoch : as the config has it.
    """

    def __init__(
        self,
        workdir: str,
        config: dict,
        train_split: StoredSplit,
        ensemble: keras.Model,
        state: dict,
        stop_requests: StopRequests,
        writes: bool = True,
    ):
        super().__init__()
        self._workdir = workdir
        self._config = config
        self._train_split = train_split
        self._ensemble = ensemble
        self._state = state
        self._stop_requests = stop_requests
        self._writes = writes
        self.steps_per_epoch = config['examples_per_epoch'] // config['batch_size']
        self._saved_at = time.monotonic()

    @property
    def finished(self) -> bool:
        return self._state['epoch'] >= self._config['epochs'] or all(map(self._is_stopped, self._state['best']))

    def info(self) -> dict:
        """Returns the content of ``model_info.json``."""
        state = self._state
        seen = state['step'] * self._config['batch_size']
        info = model_info.describe(self._config, self._train_split, seen, state['best'], state.get('init_from'))
        return info | {'epochs': state['epoch'], 'best_epoch': state['best_epoch'], 'finished': self.finished}

    def on_train_batch_end(self, batch, logs=None):
        self._state['step'] += 1
        if not math.isfinite(logs['loss']):
            rate = learning_rate_at(self._config, self._state['step'] - 1)
            raise UserError(
                f'loss is {logs["loss"]} at step {self._state["step"]:,} with learning rate'
                f' {rate:g}; try a lower learning_rate, or precision float32, in another --workdir'
            )
        if self._state['step'] == (self._state['epoch'] + 1) * self.steps_per_epoch:
            return  # the epoch is to be ended first: a run cannot go on between its last step and its validation
        if self._stop_requests.signal_number is not None:
            self._save()
            raise Interrupted(self._stop_requests.signal_number)
        every = self._config['checkpoint_steps']
        if (every and self._state['step'] % every == 0) or (
            time.monotonic() - self._saved_at > self._config['checkpoint_seconds']
        ):
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        state = self._state
        stopped = {name for name in state['best'] if self._is_stopped(name)}
        state['epoch'] = epoch + 1
        if self._writes:
            # Of a run that had ended before it was given more epochs.
            remove_consensus(self._workdir)
            calibration.remove(self._workdir)
        for member in members_of(self._ensemble):
            loss = logs[f'val_{member.name}_loss']
            if member.name not in stopped and loss < state['best'][member.name]:
                state['best'][member.name] = float(loss)
                state['best_epoch'][member.name] = epoch + 1
                if self._writes:
                    path = os.path.join(self._workdir, MEMBERS_FOLDER, f'{member.name}.keras')
                    save_whole(member, path)
        if self._writes:
            model_info.write(self._workdir, self.info())
        self._save()
        if self._stop_requests.signal_number is not None:
            raise Interrupted(self._stop_requests.signal_number)
        self.model.stop_training = self.finished

    def _is_stopped(self, member: str) -> bool:
        return self._state['epoch'] - self._state['best_epoch'][member] >= self._config['patience']

    def _save(self) -> None:
        if not self._writes:
            return
        if keras.backend.backend() == 'jax':
            self.model.jax_state_sync()  # while it trains, Keras keeps the weights and the optimizer's elsewhere
        folder = os.path.join(self._workdir, checkpoints.CHECKPOINTS_FOLDER)
        kept = self._config['checkpoints_kept']
        checkpoints.save_checkpoint(folder, self._state['step'], self._ensemble, self._state, kept)
        self._saved_at = time.monotonic()
