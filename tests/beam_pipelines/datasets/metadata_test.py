import json

import msgspec
import pytest

from beam_pipelines.datasets.checksums import Checksums
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError
from beam_pipelines.storage.typed_json import check_content


def _content(data_dir, config: str) -> dict:
    return json.loads((data_dir / 'sero_spikes' / config / '1.1.0' / 'metadata.json').read_text())


@pytest.mark.parametrize('config', ['original', 'non_homogeneous', 'synthetic_small'])
def test_metadata_are_read_and_written_as_they_were(data_dir, config):
    content = _content(data_dir, config)
    again = msgspec.to_builtins(check_content(content, DatasetMetadata, 'metadata.json'))
    # The order of the keys is that of the file too.
    assert json.dumps(again) == json.dumps(content)


def test_the_file_keeps_the_key_of_the_masks(data_dir):
    content = _content(data_dir, 'synthetic_small')
    assert content['synthesis']['masks_a_spike'] == [1, 4]
    assert check_content(content, DatasetMetadata, 'metadata.json').synthesis.masks_per_spike == (1, 4)


def test_what_a_later_version_adds_is_left_out(data_dir):
    content = _content(data_dir, 'original')
    assert check_content(content | {'new': 1}, DatasetMetadata, 'f') == check_content(content, DatasetMetadata, 'f')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda content: content.pop('protocol'),
            '^d/metadata.json: Object missing required field `protocol`; make the file anew$',
        ),
        (lambda content: content['synthesis'].pop('noise_masks'), 'field `noise_masks` at `synthesis`'),
        (lambda content: content['cells'][0].pop('cell'), r'field `cell` at `cells\[0\]`'),
        (lambda content: content.update(cells=3), 'Expected `array`, got `int` at `cells`; make the file anew$'),
        (lambda content: content['cells'][0].update(label=2), r'at `cells\[0\].label`'),
        (lambda content: content['cells'][0].update(spikes=-1), r'at `cells\[0\].spikes`'),
        (lambda content: content['synthesis'].update(weights=[0.3, float('nan')]), r'at `synthesis.weights\[1\]`'),
        (lambda content: content['synthesis'].update(examples=[-1, 5]), r'at `synthesis.examples\[0\]`'),
        (lambda content: content.update(seed=-1), 'at `seed`'),
    ],
)
def test_what_is_missing_or_of_another_type_is_named(data_dir, change, message):
    content = _content(data_dir, 'synthetic_small')
    change(content)
    with pytest.raises(UserError, match=message):
        check_content(content, DatasetMetadata, 'd/metadata.json')


@pytest.mark.parametrize('name', ['../x', '/dev/zero', 'a/b', '..', '.', '', '\0', 'gs://b/x', 'a\nb', 'x' * 300])
@pytest.mark.parametrize('field', ['noise_masks', 'spike_bank'])
def test_no_name_leads_out_of_the_folder(data_dir, field, name):
    content = _content(data_dir, 'synthetic_small')
    content['synthesis'][field] = name
    with pytest.raises(UserError, match=f'at `synthesis.{field}`'):
        check_content(content, DatasetMetadata, 'metadata.json')


@pytest.mark.parametrize('value', ['a\nb', '', '0000000G', '00000000\n', '\x1b[2J'])
def test_a_checksum_is_eight_digits_and_nothing_that_a_line_could_break_on(data_dir, value):
    content = _content(data_dir, 'synthetic_small')
    content['synthesis']['noise_masks_crc32c'] = value
    with pytest.raises(UserError, match='at `synthesis.noise_masks_crc32c`'):
        check_content(content, DatasetMetadata, 'metadata.json')
    with pytest.raises(UserError, match='crc32c'):
        check_content({'crc32c': {'features.json': value}}, Checksums, 'checksums.json')
