"""The datasets: their configs, version, sizes and file names."""

from __future__ import annotations

import dataclasses

NAME = 'sero_spikes'
VERSION = '1.1.0'

# The files of a dataset's folder, beside its shards.
INFO_FILE = 'dataset_info.json'  # TFDS's; a folder without it is not a dataset
METADATA_FILE = 'metadata.json'  # TFDS's name; the content is ours
CELL_NAMES_FILE = 'cell.labels.txt'  # TFDS's
LABEL_NAMES_FILE = 'label.labels.txt'  # TFDS's
CHECKSUMS_FILE = 'checksums.json'
LAYOUT_FILE = 'record_layout.json'
CROISSANT_FILE = 'croissant.json'
CARD_FILE = 'README.md'
REJECTED_FILE = 'rejected.jsonl'
# In the folder of all datasets: held by the one command that builds there.
LOCK_FILE = '.lock'
# After the name of a dataset's folder: where it is built, and where it is kept until its replacement is complete.
BUILDING, REPLACED = '.building', '.replaced'
# Only in synthetic datasets: what they are made from.
NOISE_MASKS_FILE = 'noise_masks.npy'
SPIKE_BANK_FILE = 'spike_bank.tfrecord'

ARRAYS = 'published_synthetic'  # the dataset made from the authors' arrays, and their folder in the recordings root
PUBLISHED_EXAMPLES = (6_675_300, 6_025_300)  # synthetic spikes in the paper, SER first


@dataclasses.dataclass(frozen=True)
class DatasetConfig:
    """One TFDS config.

    Attributes
    ----------
    name, description : as TFDS shows them.
    recording_set : the recordings that it is made from.
    synthetic_examples : how many synthetic spikes of each class, SER first; None if its spikes are recorded, or
        synthetic spikes of others.
    """

    name: str
    description: str
    recording_set: str
    synthetic_examples: tuple[int, int] | None = None


_CONFIGS = (
    DatasetConfig('original', 'Spikes of the original recordings, split by cell.', 'original'),
    DatasetConfig('non_homogeneous', 'Spikes of the recordings of other days; test only.', 'non_homogeneous'),
    DatasetConfig(
        'synthetic_small',
        'Synthetic spikes: smoothed training spikes under noise masks, one hundredth of the published number.',
        'original',
        (66_753, 60_253),
    ),
    DatasetConfig(
        'synthetic',
        'Synthetic spikes: smoothed training spikes under noise masks, in the published number.',
        'original',
        PUBLISHED_EXAMPLES,
    ),
    DatasetConfig(ARRAYS, "The authors' synthetic spikes, from their .npy arrays.", ARRAYS),
)
CONFIGS = {config.name: config for config in _CONFIGS}


def shard_name(split: str, number: int, shards: int) -> str:
    """Returns a shard's file name, as TFDS names it."""
    return f'{NAME}-{split}.tfrecord-{number:05d}-of-{shards:05d}'
