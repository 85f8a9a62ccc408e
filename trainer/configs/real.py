"""Real spike shapes under simulated noise: three networks, small enough for five folds in minutes.

    sero-train --config trainer/configs/real.py --data_dir real/E-FS/data --workdir real/E-FS/all_folds

`make real` cross-validates it, and docs/evaluation.md has the result. One fold took 37 to 99 s on 2 CPU cores that
other work shared.
"""

import ml_collections

from trainer.configs import default


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of ``make real``."""
    config = default.get_config()
    config.kernel_sizes = (20, 25, 30)
    config.batch_size = 128
    config.examples_per_epoch = 16_384
    config.epochs = 4
    config.patience = 4
    return config
