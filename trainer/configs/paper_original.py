"""The published consensus trained on recorded spikes, as the authors trained it.

    sero-train --config trainer/configs/paper_original.py --data_dir data --workdir runs/paper_original

Eleven of the published networks (k 20 to 30), batches of 64, 25 epochs, patience 10. An epoch is as long as the
authors' training split: 70 % of 43,327 spikes, 30,328. To use their split as well, random by spike, build the data with
`sero-build --protocol=published`; the default puts no cell on both sides.

Time: not measured. Result: not measured. (Published, on original test spikes; other spikes of the same cells
were trained on: accuracy about 0.984, AUC about 0.997.)
"""

import ml_collections

from trainer.configs import default


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of the published training on recorded spikes."""
    config = default.get_config()
    config.train_on = 'original'
    config.architecture = 'published'
    config.held_out_days = 0
    config.kernel_sizes = tuple(range(20, 31))
    config.batch_size = 64
    config.examples_per_epoch = 30_328
    config.epochs = 25
    config.patience = 10
    config.augment = ()
    return config
