"""The demo: three members, some minutes on two cores.

sero-train --config trainer/configs/demo.py --data_dir demo/data --workdir demo/synthetic
sero-train --config trainer/configs/demo.py --config.train_on=original --data_dir demo/data --workdir demo/original
"""

import ml_collections

from trainer.configs import default


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of the demo."""
    config = default.get_config()
    config.kernel_sizes = (20, 25, 30)
    config.batch_size = 128
    config.examples_per_epoch = 16_384
    config.epochs = 6
    config.patience = 4
    return config
