"""Keeps a run: checkpoints by time and by step, the best weights of each member, and a stop on request."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

import keras

from beam_pipelines.cli.signals import Interrupted, StopRequests
from beam_pipelines.errors import UserError
from trainer.evaluation import calibration
from trainer.models import manifest, model_info
from trainer.models.ensemble import members_of
from trainer.models.exported_consensus import remove_consensus
from trainer.models.files import save_whole
from trainer.models.trained import MEMBERS_FOLDER
from trainer.training import checkpoints
from trainer.training.agreement import SharedStopRequests
from trainer.training.optimization import learning_rate_at
from trainer.training.run_folder import Run


class RunKeeper(keras.callbacks.Callback):
    """Saves a run while it is trained, and stops it.

    After each epoch the members that have improved on validation are saved. A member that has not improved for
    ``patience`` epochs is stopped: what it learns from then on is not kept. When all are stopped, the run ends.

    Parameters
    ----------
    run : its ``state`` is kept up to date.
    stop_requests : asked after each step; or those that several processes share.
    saved : called after each checkpoint; None if this process does not save: of several that train the same model, one
        does.
    """

    def __init__(
        self,
        run: Run,
        stop_requests: StopRequests | SharedStopRequests,
        saved: Callable[[], None] | None = lambda: None,
    ):
        super().__init__()
        self._run = run
        self._stop_requests = stop_requests
        self._saved = saved
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        run = self._run
        run.state['step'] += 1
        step = run.state['step']
        if not math.isfinite(logs['loss']):
            raise UserError(
                f'loss is {logs["loss"]} at step {step:,} with learning rate'
                f' {learning_rate_at(run.config, step - 1):g}; try a lower learning_rate, or precision float32, in'
                ' another --workdir'
            )
        if step == (run.state['epoch'] + 1) * run.steps_per_epoch:
            return  # finish the epoch first: a run cannot resume between its last step and its validation
        if self._stop_requests.signal_number is not None:
            self._save()
            raise Interrupted(self._stop_requests.signal_number)
        every = run.config.checkpoint_steps
        if (every and step % every == 0) or time.monotonic() - self._saved_at > run.config.checkpoint_seconds:
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        run = self._run
        # Before anything is saved: what the members learned from another dataset must not go on as theirs.
        run.data.check_not_replaced()
        stopped = {name for name in run.state['best'] if run.is_stopped(name)}
        run.state['epoch'] = epoch + 1
        if self._saved:
            # They may exist from a run that had ended before it was given more epochs.
            manifest.remove(run.workdir)  # first: without it nothing is said of the other files
            remove_consensus(run.workdir)
            calibration.remove(run.workdir)
        for member in members_of(run.ensemble):
            loss = float(logs[f'val_{member.name}_loss'])
            if member.name not in stopped and loss < run.state['best'][member.name]:
                run.state['best'][member.name] = loss
                run.state['best_epoch'][member.name] = epoch + 1
                if self._saved:
                    save_whole(member, os.path.join(run.workdir, MEMBERS_FOLDER, f'{member.name}.keras'))
        if self._saved:
            model_info.write(run.workdir, run.info())
        self._save()
        if self._stop_requests.signal_number is not None:
            raise Interrupted(self._stop_requests.signal_number)
        self.model.stop_training = run.finished

    def _save(self) -> None:
        if not self._saved:
            return
        if keras.backend.backend() == 'jax':
            self.model.jax_state_sync()  # while it trains, Keras keeps the weights and the optimizer's elsewhere
        run = self._run
        run.data.check_not_replaced()
        checkpoints.save_checkpoint(
            run.places.checkpoints, run.state['step'], run.ensemble, run.state, run.config.checkpoints_kept
        )
        self._saved_at = time.monotonic()
        self._saved()
