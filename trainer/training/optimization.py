"""The learning rate over a run."""

from __future__ import annotations

import keras

SCHEDULES = ('constant', 'cosine')

_WARMUP_SHARE = 0.05


def learning_rate_over_run(config: dict) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns what the optimizer takes: a rate, or a function of how many steps it has made.

    Parameters
    ----------
    config : of the run. Its ``learning_rate`` is the highest; with the ``learning_rate_schedule`` ``cosine`` the rate
        rises in a straight line over the first twentieth of the run and falls to zero at its end.
    """
    if config['learning_rate_schedule'] == 'constant':
        return float(config['learning_rate'])
    steps = config['examples_per_epoch'] // config['batch_size'] * config['epochs']
    warmup_steps = max(1, round(_WARMUP_SHARE * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup_steps), warmup_target=config['learning_rate'], warmup_steps=warmup_steps
    )


def learning_rate_at(config: dict, step: int) -> float:
    """Returns the rate of a run's next step when it has made ``step`` of them."""
    rate = learning_rate_over_run(config)
    return rate if isinstance(rate, float) else float(keras.ops.convert_to_numpy(rate(step)))
