"""The TFDS side of sero-spikes: importing this package registers the dataset ``sero_spikes``.

>>> import tensorflow_datasets as tfds, tfds_sero
>>> tfds.load('sero_spikes/original', split='train', with_info=True)
"""

from tfds_sero.sero_spikes.sero_spikes_dataset_builder import Builder as Builder
