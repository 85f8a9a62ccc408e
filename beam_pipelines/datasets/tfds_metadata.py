"""The metadata that makes a folder of shards a TFDS dataset.

Only this module imports TFDS, not the modules that write shards; used this way, TFDS does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from beam_pipelines import domain
from beam_pipelines.datasets.configs import NAME, VERSION, DatasetConfig
from beam_pipelines.datasets.croissant import HOMEPAGE

DESCRIPTION = """\
Single spikes of dorsal raphe neurons: 4 ms of loose-patch current in pA at 40 kHz, 160 samples from 1 ms before the
trigger at -50 pA, labelled serotonergic (SER) or not (NSER); recorded, or synthetic by the published method.
"""
SUPERVISED_KEYS = ('waveform', 'label')


def features(cell_names: Sequence[str] | None = None) -> tfds.features.FeaturesDict:
    """Returns the features of a record.

    Parameters
    ----------
    cell_names : the dataset's cells; None if it is not built yet.
    """
    return tfds.features.FeaturesDict(
        {
            'waveform': tfds.features.Tensor(shape=(domain.SPIKE_SAMPLES,), dtype=np.float32),
            'label': tfds.features.ClassLabel(names=list(domain.LABEL_NAMES)),
            'cell': tfds.features.ClassLabel(names=cell_names),
            'trigger': tfds.features.Scalar(dtype=np.int64),
            'mask': tfds.features.Scalar(dtype=np.int64),
        }
    )


def split_infos(
    shard_lengths: Mapping[str, Sequence[int]], num_bytes: Mapping[str, int], folder: str
) -> list[tfds.core.SplitInfo]:
    """Returns a ``tfds.core.SplitInfo`` for each split."""
    return [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=list(lengths),
            num_bytes=num_bytes[split],
            filename_template=tfds.core.ShardedFileTemplate(
                data_dir=tfds.core.Path(folder), dataset_name=NAME, split=split, filetype_suffix='tfrecord'
            ),
        )
        for split, lengths in shard_lengths.items()
    ]


def write_dataset_info(
    folder: str,
    config: DatasetConfig,
    cell_names: Sequence[str],
    infos: Sequence[tfds.core.SplitInfo],
    metadata: Mapping,
) -> None:
    """Writes ``dataset_info.json`` and TFDS's other files into a dataset's folder."""
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name=NAME,
            version=tfds.core.Version(VERSION),
            data_dir=folder,
            module_name='',
            config_name=config.name,
            config_description=config.description,
        ),
        description=DESCRIPTION,
        homepage=HOMEPAGE,
        features=features(cell_names),
        supervised_keys=SUPERVISED_KEYS,
        metadata=tfds.core.MetadataDict(metadata),
    )
    info.set_file_format(tfds.core.FileFormat.TFRECORD)
    info.set_splits(tfds.core.SplitDict(infos))
    info.write_to_directory(folder)
