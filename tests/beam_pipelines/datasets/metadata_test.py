import json

import pytest

from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError


def _content(data_dir, config: str) -> dict:
    return json.loads((data_dir / 'sero_spikes' / config / '1.0.0' / 'metadata.json').read_text())


@pytest.mark.parametrize('config', ['original', 'non_homogeneous', 'synthetic_small'])
def test_metadata_come_back_from_json_and_go_back_as_they_were(data_dir, config):
    content = _content(data_dir, config)
    again = DatasetMetadata.from_json(content, 'metadata.json').to_json()
    # The order of the keys is that of the file too.
    assert json.dumps(again) == json.dumps(content)


def test_the_file_keeps_the_key_of_the_masks(data_dir):
    content = _content(data_dir, 'synthetic_small')
    assert content['synthesis']['masks_a_spike'] == [1, 4]
    assert DatasetMetadata.from_json(content, 'metadata.json').synthesis.masks_per_spike == (1, 4)


def test_what_a_later_version_adds_is_left_out(data_dir):
    content = _content(data_dir, 'original')
    assert DatasetMetadata.from_json(content | {'new': 1}, 'f').to_json() == content


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content.pop('protocol'), "^d/metadata.json: has no 'protocol'; build the dataset anew$"),
        (lambda content: content['synthesis'].pop('spike_bank'), "has no 'spike_bank'"),
        (lambda content: content['cells'][0].pop('cell'), "has no 'cell'"),
        (lambda content: content.update(cells=3), 'is no metadata of a dataset'),
    ],
)
def test_what_is_missing_is_named(data_dir, change, message):
    content = _content(data_dir, 'synthetic_small')
    change(content)
    with pytest.raises(UserError, match=message):
        DatasetMetadata.from_json(content, 'd/metadata.json')
