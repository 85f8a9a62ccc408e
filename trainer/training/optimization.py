"""How members learn: their losses, their optimizer, its learning rate over a run."""

from __future__ import annotations

import keras
from ml_collections import FrozenConfigDict

from trainer.models.ensemble import uses_xla

_WARMUP_SHARE = 0.05


def compile_ensemble(
    ensemble: keras.Model,
    precision: str,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
) -> None:
    """Makes an ensemble ready to be trained: each member has the published loss and its own Adam state.

    Parameters
    ----------
    ensemble : from ``build_ensemble``.
    precision : what it was built with; gradients in float16 vanish unless the loss is scaled.
    learning_rate : of Adam.
    """
    optimizer = keras.optimizers.Adam(learning_rate)
    ensemble.compile(
        optimizer=keras.optimizers.LossScaleOptimizer(optimizer) if precision == 'mixed_float16' else optimizer,
        loss=member_losses(ensemble),
        jit_compile=uses_xla(),
    )


def member_losses(ensemble: keras.Model) -> dict[str, str]:
    """Returns the loss of each output."""
    return dict.fromkeys(ensemble.output_names, 'binary_crossentropy')


def learning_rate_over_run(config: FrozenConfigDict) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns what the optimizer takes: a rate, or a function of how many steps it has made.

    Parameters
    ----------
    config : of the run. Its ``learning_rate`` is the highest; with the ``learning_rate_schedule`` ``cosine`` the rate
        rises linearly over the first twentieth of the run and falls to zero at its end.
    """
    if config.learning_rate_schedule == 'constant':
        return float(config.learning_rate)
    steps = config.examples_per_epoch // config.batch_size * config.epochs
    warmup_steps = max(1, round(_WARMUP_SHARE * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup_steps), warmup_target=config.learning_rate, warmup_steps=warmup_steps
    )


def learning_rate_at(config: FrozenConfigDict, step: int) -> float:
    """Returns the rate of a run's next step when it has made ``step`` of them."""
    rate = learning_rate_over_run(config)
    return rate if isinstance(rate, float) else float(keras.ops.convert_to_numpy(rate(step)))
