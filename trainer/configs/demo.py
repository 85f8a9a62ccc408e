"""The demo: the whole ensemble, some minutes on two cores for each of the two models that are compared.

    sero-train --config trainer/configs/demo.py --data_dir demo/data --workdir demo/synthetic
    sero-train --config trainer/configs/demo.py --config.train_on=original --data_dir demo/data --workdir demo/original

On 2 CPU cores with AVX2: 4 to 6 min each, at 160 to 290 examples/s; with AMX an earlier version had 1,000. Cells of
other days classified as labelled, on simulated recordings of the default seed: 19 of 20 (95 % interval 0.764 to
0.991) with either model, all decided. Of the eleven members, nine keep a later epoch than the first.
"""

import ml_collections

from trainer.configs import default


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of the demo."""
    config = default.get_config()
    config.batch_size = 128
    config.learning_rate_schedule = 'cosine'
    config.examples_per_epoch = 8_192
    config.epochs = 8
    config.patience = config.epochs  # the rate has to reach zero
    return config
