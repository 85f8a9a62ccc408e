"""The consensus on all 12.7 million synthetic spikes in one pass: large batches, bfloat16, a rate that falls to zero.

    sero-train --config trainer/configs/fast.py --data_dir data --workdir runs/fast

For hardware with bfloat16: a GPU, a TPU, or a CPU with AMX; other CPUs are slower than in float32. The rate is
higher than the default's because there are fewer, larger steps, and rises from zero first because Adam's first
estimates are poor. Validation follows every twentieth of the pass.

Time: not measured. Result: not measured.
"""

import ml_collections

from trainer.configs import default


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of one quick pass over the synthetic spikes."""
    config = default.get_config()
    config.train_on = 'synthetic'
    config.batch_size = 4096
    config.learning_rate = 4e-3
    config.learning_rate_schedule = 'cosine'
    config.precision = 'mixed_bfloat16'
    config.epochs = 20
    config.examples_per_epoch = 12_700_600 // config.epochs
    config.patience = config.epochs  # the rate has to reach zero
    return config
