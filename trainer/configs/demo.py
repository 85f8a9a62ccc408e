"""The demo: the whole ensemble, a minute on two cores for each of the two models that are compared.

    sero-train --config trainer/configs/demo.py --data_dir demo/data --workdir demo/synthetic
    sero-train --config trainer/configs/demo.py --config.train_on=original --data_dir demo/data --workdir demo/original

On 2 CPU cores: about 65 s each, at 1,000 examples/s. Cells of other days classified as labelled, on simulated
recordings of the default seed: 19 of 20 (95 % interval 0.764 to 0.991) trained on synthetic spikes, 18 of 20 (0.699 to
0.972) trained on recorded ones.
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
