"""``croissant.json``: a dataset described in Croissant 1.0, the vocabulary by which catalogues find and read datasets.

Cells and labels are in it, so any Croissant reader gives them. Of the shards it says which files they are and what
their records hold. No Croissant reader opens TFRecords; TFDS does, and ``record_layout.json`` is enough for others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from beam_pipelines import domain
from beam_pipelines.citation import BIBTEX
from beam_pipelines.datasets.configs import NAME, VERSION, DatasetConfig
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.recordings.sources import SIMULATED, find_source

HOMEPAGE = 'https://arxiv.org/abs/2407.05701'
KEYWORDS = ('electrophysiology', 'neuroscience', 'dorsal raphe nucleus', 'serotonin', 'spike waveforms')
LICENCE_OF_SIMULATED = 'https://spdx.org/licenses/MIT'

_CONFORMS_TO = 'http://mlcommons.org/croissant/1.0'
# As the specification prescribes it.
_OF_CROISSANT = (
    *('citeAs', 'column', 'equivalentProperty', 'extract', 'field', 'fileProperty', 'fileObject', 'fileSet', 'format'),
    *('includes', 'isLiveDataset', 'jsonPath', 'key', 'md5', 'parentField', 'path', 'recordSet', 'references', 'regex'),
    *('repeated', 'replace', 'samplingRate', 'separator', 'source', 'subField', 'transform'),
)
_CONTEXT = {
    '@language': 'en',
    '@vocab': 'https://schema.org/',
    'sc': 'https://schema.org/',
    'cr': 'http://mlcommons.org/croissant/',
    'rai': 'http://mlcommons.org/croissant/RAI/',
    'dct': 'http://purl.org/dc/terms/',
    'conformsTo': 'dct:conformsTo',
    'data': {'@id': 'cr:data', '@type': '@json'},
    'dataType': {'@id': 'cr:dataType', '@type': '@vocab'},
    'examples': {'@id': 'cr:examples', '@type': '@json'},
    **{name: f'cr:{name}' for name in _OF_CROISSANT},
}

_FIELDS = {
    'waveform': ('sc:Float', f'{domain.SPIKE_SAMPLES} samples of the current in pA at 40 kHz'),
    'label': ('sc:Integer', 'number of the class'),
    'cell': ('sc:Integer', 'number of the cell'),
    'trigger': (
        'sc:Integer',
        'sample index of the trigger in the recording, of a synthetic spike in that of its source',
    ),
    'mask': ('sc:Integer', '0 for a recorded spike; for a synthetic one, 1 + the index of its first noise mask'),
}
_REFERENCES = {'label': 'labels/number', 'cell': 'cells/number'}


def describe(config: DatasetConfig, metadata: DatasetMetadata, examples: Mapping[str, int]) -> dict:
    """Returns the content of ``croissant.json``.

    Parameters
    ----------
    config : the dataset's.
    metadata : the content of its ``metadata.json``.
    examples : split -> how many records it has.
    """
    made = find_source([metadata.source])
    stamp = f' From {made.recordings}; it says nothing about {made.not_about}.' if made else ''
    return {
        '@context': _CONTEXT,
        '@type': 'sc:Dataset',
        'conformsTo': _CONFORMS_TO,
        'name': f'{NAME}_{config.name}',
        'description': f'{config.description}{stamp}',
        'version': VERSION,
        'url': HOMEPAGE,
        'citeAs': BIBTEX,
        'keywords': [*KEYWORDS, *([made.name] if made else [])],
        # Whose recordings they are, decides the licence of other datasets.
        **({'license': LICENCE_OF_SIMULATED} if made is SIMULATED else {}),
        'distribution': [_shards(split) for split in examples],
        'recordSet': [_labels(), _cells(metadata), *(_records(split, count) for split, count in examples.items())],
    }


def _shards(split: str) -> dict:
    return {
        '@type': 'cr:FileSet',
        '@id': f'{split}-shards',
        'name': f'{split}-shards',
        'description': f'the shards of {split}, beside this file; checksums are in metadata.json',
        'encodingFormat': 'application/x-tfrecord',
        'includes': f'{NAME}-{split}.tfrecord-*',
    }


def _labels() -> dict:
    rows = [{'labels/number': number, 'labels/name': name} for number, name in enumerate(domain.LABEL_NAMES)]
    return {
        '@type': 'cr:RecordSet',
        '@id': 'labels',
        'name': 'labels',
        'description': 'serotonergic or not',
        'dataType': 'sc:Enumeration',
        'key': {'@id': 'labels/number'},
        'field': [_field('labels/number', 'sc:Integer'), _field('labels/name', 'sc:Text')],
        'data': rows,
    }


def _cells(metadata: DatasetMetadata) -> dict:
    has_splits = all(cell.split is not None for cell in metadata.cells)
    rows = [
        {
            'cells/number': number,
            'cells/name': cell.cell_id,
            'cells/label': cell.label,
            'cells/spikes': cell.spikes,
            **({'cells/split': cell.split} if has_splits else {}),
        }
        for number, cell in enumerate(metadata.cells)
    ]
    kinds = {'number': 'sc:Integer', 'name': 'sc:Text', 'label': 'sc:Integer', 'spikes': 'sc:Integer'}
    kinds |= {'split': 'sc:Text'} if has_splits else {}
    return {
        '@type': 'cr:RecordSet',
        '@id': 'cells',
        'name': 'cells',
        'description': 'the cells whose spikes were recorded',
        'key': {'@id': 'cells/number'},
        'field': [_field(f'cells/{name}', kind) for name, kind in kinds.items()],
        'data': rows,
    }


def _records(split: str, count: int) -> dict:
    return {
        '@type': 'cr:RecordSet',
        '@id': split,
        'name': split,
        'description': f'{count:,} spikes',
        'field': list(_record_fields(split)),
    }


def _record_fields(split: str) -> Iterator[dict]:
    for name, (kind, description) in _FIELDS.items():
        field = _field(f'{split}/{name}', kind) | {
            'description': description,
            'source': {'fileSet': {'@id': f'{split}-shards'}, 'extract': {'column': name}},
        }
        if name == 'waveform':
            field['repeated'] = True
        if name in _REFERENCES:
            field['references'] = {'field': {'@id': _REFERENCES[name]}}
        yield field


def _field(identity: str, kind: str) -> dict:
    return {'@type': 'cr:Field', '@id': identity, 'name': identity.rpartition('/')[2], 'dataType': kind}
