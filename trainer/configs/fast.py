"""The consensus in a few minutes on two cores: few, large steps from a rate that falls to zero, and few validations.

    sero-train --config trainer/configs/fast.py --data_dir data --workdir runs/fast

Time: not measured. Result: not measured.
"""

import ml_collections

from trainer.configs import default


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of a short training."""
    config = default.get_config()
    config.learning_rate = 2e-3
    config.learning_rate_schedule = 'cosine'
    config.examples_per_epoch = 4_096
    config.epochs = 2
    config.patience = config.epochs  # the rate has to reach zero
    return config
