"""The fields that every experiment has. The other configs start from these values.

sero-train --config trainer/configs/default.py --data_dir data --workdir runs/default
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Returns the config of the published consensus on the small synthetic dataset."""
    return ml_collections.ConfigDict(
        {
            # The dataset to train on, its split "train"; validation is always original/validation.
            'train_on': 'synthetic_small',
            # tfrecord: the stored records. online: the same spikes, made on the device from recorded spikes and noise
            # masks (synthetic datasets only). tfds: the stored records through tfds.load, for comparison.
            'input': 'tfrecord',
            # See trainer/models/architectures.py: cnn or published.
            'architecture': 'cnn',
            'kernel_sizes': tuple(range(20, 31)),
            'batch_size': 64,
            'learning_rate': 1e-3,
            # constant, or cosine: linear warm-up over the first twentieth of the run, then decay to zero at its
            # end; the length of such a run cannot be changed when it resumes.
            'learning_rate_schedule': 'constant',
            # An epoch ends with validation and a checkpoint; it need not be a whole pass over the data.
            'examples_per_epoch': 44_415,
            'epochs': 25,
            # Each member keeps the weights of its best epoch on validation; training ends when no member has improved
            # for this many epochs.
            'patience': 10,
            # Into how many groups the recording days are divided, at most one a member. Each member leaves one group
            # out, in turn, so that every cell of original/train and original/validation can select epochs and
            # calibrate, by members that have not seen its day. 0, the published way: all members train on the same
            # cells, and only those of original/validation select and calibrate.
            'held_out_days': 4,
            # What of the recording chain varies at random in training, so that the filter, the seal or the hum of a few
            # days is not taken for a trait of a class; see trainer/models/augmentation.py. (): nothing, the published
            # way.
            'augment': ('low_pass', 'gain', 'jitter', 'hum', 'baseline'),
            # float32, mixed_bfloat16 or mixed_float16.
            'precision': 'float32',
            # A checkpoint is saved after each epoch, every so many seconds, and (unless 0) every so many steps; the
            # newest are kept.
            'checkpoint_seconds': 300.0,
            'checkpoint_steps': 0,
            'checkpoints_kept': 2,
            'seed': 0,
        }
    )
