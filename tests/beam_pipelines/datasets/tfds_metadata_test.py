import subprocess
import sys

import numpy as np

from beam_pipelines.datasets import tfds_metadata


def test_features_name_the_labels_in_the_published_order():
    assert tfds_metadata.features()['label'].names == ['SER', 'NSER']


def test_features_know_the_cells_of_a_dataset_that_is_built():
    features = tfds_metadata.features(['A1#1', 'A1#2'])
    assert features['cell'].int2str(1) == 'A1#2'
    assert features['waveform'].shape == (160,)
    assert features['waveform'].np_dtype == np.float32


def test_split_infos_give_lengths_and_bytes(tmp_path):
    (info,) = tfds_metadata.split_infos({'train': [3, 4]}, {'train': 7 * 756}, str(tmp_path))
    assert (info.num_examples, info.num_shards, info.num_bytes) == (7, 2, 7 * 756)
    assert [path.name for path in info.filepaths] == [
        'sero_spikes-train.tfrecord-00000-of-00002',
        'sero_spikes-train.tfrecord-00001-of-00002',
    ]


def test_writing_metadata_needs_no_tensorflow(tmp_path):
    code = f"""
import sys
from beam_pipelines.datasets import configs, tfds_metadata
infos = tfds_metadata.split_infos({{'test': [1]}}, {{'test': 756}}, {str(tmp_path)!r})
config = configs.CONFIGS['non_homogeneous']
tfds_metadata.write_dataset_info({str(tmp_path)!r}, config, ['A1#1'], infos, {{'source': 'recorded'}})
print('tensorflow' in sys.modules)
"""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert result.stdout == 'False\n', result.stderr
    assert (tmp_path / 'dataset_info.json').exists()
