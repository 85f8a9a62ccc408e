"""The published consensus trained on all 12.7 million synthetic spikes, with as many visits as the authors gave.

    sero-train --config trainer/configs/paper_synthetic.py --data_dir data --workdir runs/paper_synthetic

The authors could not hold the data in memory. They cut them into 200 chunks of 63,450 spikes and trained each network
on one chunk after another, 25 epochs of 70 % of the chunk (44,415 spikes) each. That is 200 x 25 x 44,415 =
222,075,000 visits per network, if no chunk ended early. Here an epoch has the visits of one chunk, 25 x 44,415 =
1,110,375, and there are 200 of them; but the spikes come from all 12.7 million in random order, so that each is
visited 17 or 18 times over the run and not 25 times in a row.

Their patience of 10 epochs could end a chunk early, but never the run. So
nothing ends this run early either, and each member keeps its weights of the best of the 200 validations. A member
that overfits no longer costs more than its time; a lower `--config.patience` ends it.

Time: not measured. Result: not measured. (Published, on cells of other days: accuracy 0.9375.)
"""

import ml_collections

from trainer.configs import default

_CHUNKS = 200
_EPOCHS_PER_CHUNK = 25
_SPIKES_PER_CHUNK = 44_415


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of the published training on synthetic spikes."""
    config = default.get_config()
    config.train_on = 'synthetic'
    config.architecture = 'published'
    config.held_out_days = 0
    config.kernel_sizes = tuple(range(20, 31))
    config.batch_size = 64
    config.examples_per_epoch = _EPOCHS_PER_CHUNK * _SPIKES_PER_CHUNK
    config.epochs = _CHUNKS
    config.patience = _CHUNKS
    config.augment = ()
    return config
