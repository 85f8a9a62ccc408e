"""What a dataset says about itself: Croissant metadata and a card, which TFDS and the checksums leave alone."""

import json

import mlcroissant
import pytest
from huggingface_hub import DatasetCard

from beam_pipelines.citation import BIBTEX
from beam_pipelines.datasets.checksums import checksum
from beam_pipelines.transforms.finish_dataset import Sources, finish_dataset
from tests.support.small_dataset import make_source, write_shards


@pytest.fixture(params=['by_cell', 'published'])
def dataset(request, tmp_path):
    """A finished dataset: its plan and its folder."""
    plan, source = make_source('original', protocol=request.param)
    finish_dataset(plan, Sources('simulated', []), write_shards(plan, source, tmp_path), str(tmp_path))
    return plan, tmp_path


def test_croissant_is_valid_and_gives_the_cells(dataset):
    plan, folder = dataset
    described = mlcroissant.Dataset(jsonld=str(folder / 'croissant.json'))
    assert described.metadata.issues.errors == set()
    assert 'SIMULATED recordings; it says nothing about real neurons' in described.metadata.description
    assert described.metadata.cite_as == BIBTEX
    cells = list(described.records('cells'))
    assert [cell['cells/name'] for cell in cells] == [cell.cell_id for cell in plan.cells]
    assert [cell['cells/spikes'] for cell in cells] == [cell.spikes for cell in plan.cells]
    by_cell = plan.protocol == 'by_cell'
    assert [cell.get('cells/split') for cell in cells] == [c.split if by_cell else None for c in plan.cells]
    assert [label['labels/name'] for label in described.records('labels')] == ['SER', 'NSER']


def test_croissant_names_all_shards_and_all_features(dataset):
    _, folder = dataset
    content = json.loads((folder / 'croissant.json').read_text())
    named = {path.name for files in content['distribution'] for path in folder.glob(files['includes'])}
    assert named == {path.name for path in folder.glob('*.tfrecord-*')}
    features = set(json.loads((folder / 'features.json').read_text())['featuresDict']['features'])
    for split in ('train', 'validation', 'test'):
        (records,) = (records for records in content['recordSet'] if records['@id'] == split)
        assert {field['name'] for field in records['field']} == features


def test_the_hub_reads_the_header_of_the_card(dataset):
    plan, folder = dataset
    card = DatasetCard.load(folder / 'README.md')
    assert card.data.license == 'mit' and {'simulated', 'serotonin'} <= set(card.data.tags)
    assert '**From SIMULATED recordings.** It says nothing about real neurons.' in card.text
    assert BIBTEX in card.text and f'fingerprint `{plan.fingerprint}`' in card.text
    assert ('divided at random' in card.text) is (plan.protocol == 'published')


def test_both_are_covered_by_the_checksums(dataset):
    _, folder = dataset
    checksums = json.loads((folder / 'checksums.json').read_text())['crc32c']
    for name in ('croissant.json', 'README.md'):
        assert checksums[name] == checksum((folder / name).read_bytes())


def test_a_dataset_of_recorded_cells_has_no_stamp_and_no_licence_of_ours(tmp_path):
    plan, source = make_source('original')
    finish_dataset(plan, Sources('recorded', []), write_shards(plan, source, tmp_path), str(tmp_path))
    card = (tmp_path / 'README.md').read_text()
    content = json.loads((tmp_path / 'croissant.json').read_text())
    assert 'SIMULATED' not in card and DatasetCard(card).data.license is None
    assert 'license' not in content and 'SIMULATED' not in content['description']
