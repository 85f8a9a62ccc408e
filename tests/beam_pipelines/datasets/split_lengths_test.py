import json

import pytest

from beam_pipelines.datasets.split_lengths import decode_split_lengths
from beam_pipelines.errors import UserError


def _info(*splits) -> bytes:
    return json.dumps({'name': 'sero_spikes', 'splits': splits}).encode()


def test_the_shards_of_each_split_have_their_lengths():
    info = _info(
        {'name': 'train', 'shardLengths': ['3', '0'], 'numBytes': '9'}, {'name': 'test', 'shardLengths': ['12']}
    )
    assert decode_split_lengths(info, 'x') == {'train': [3, 0], 'test': [12]}


@pytest.mark.parametrize(
    'content',
    [
        b'[]',
        b'{}',
        b'{"splits": {"name": "train"}}',
        b'{"splits": [{"name": "train"}]}',
        b'{"splits": [{"name": ["train"], "shardLengths": []}]}',
        _info({'name': 'train', 'shardLengths': [1e999]}),
        _info({'name': 'train', 'shardLengths': ['-1']}),
        _info({'name': 'train', 'shardLengths': ['9' * 4000]}),
        _info({'name': 'train', 'shardLengths': ['٣']}),
        _info({'name': 'train', 'shardLengths': '12'}),
        _info({'name': '../train', 'shardLengths': ['1']}),
        _info({'name': '\0', 'shardLengths': ['1']}),
        _info({'name': 'train', 'shardLengths': ['1']}, {'name': 'train', 'shardLengths': ['2']}),
    ],
)
def test_what_says_no_lengths_is_one_line_that_names_the_file(content):
    with pytest.raises(UserError, match='^d/dataset_info.json: '):
        decode_split_lengths(content, 'd/dataset_info.json')
