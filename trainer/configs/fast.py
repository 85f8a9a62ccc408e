"""The consensus in a few minutes on two cores: few, large steps from a rate that falls to zero, and few validations.

    sero-train --config trainer/configs/fast.py --data_dir data --workdir runs/fast

Time: 102 s with the build, on two cores with AVX2 (median of three seeds; `python -m benchmarks.time_to_accuracy`).
Result: 79 of 81 cells of other days called as labelled with each seed, on simulated recordings of the paper profile.
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
