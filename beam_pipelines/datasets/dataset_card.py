"""The dataset card: ``README.md`` of a dataset, whose header the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from beam_pipelines import domain
from beam_pipelines.citation import BIBTEX
from beam_pipelines.datasets.configs import NAME, VERSION, DatasetConfig
from beam_pipelines.datasets.croissant import KEYWORDS
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.recordings.sources import SIMULATED, find_source


def write_card(config: DatasetConfig, metadata: DatasetMetadata, examples: Mapping[str, int]) -> str:
    """Returns the content of ``README.md``; the parameters are those of ``croissant.describe``."""
    return '\n'.join([*_header(config, metadata), *_lines(config, metadata, examples)]) + '\n'


def _header(config: DatasetConfig, metadata: DatasetMetadata) -> Iterator[str]:
    """Yields YAML; each value is JSON, which is a part of it."""
    made = find_source([metadata.source])
    tags = [keyword.replace(' ', '-') for keyword in KEYWORDS] + ([made.name] if made else [])
    yield '---'
    yield f'pretty_name: {json.dumps(f"{NAME}/{config.name}")}'
    yield f'tags: {json.dumps(tags)}'
    # Whose recordings they are, decides the licence of other datasets.
    if made is SIMULATED:
        yield 'license: "mit"'
    yield '---'


def _lines(config: DatasetConfig, metadata: DatasetMetadata, examples: Mapping[str, int]) -> Iterator[str]:
    made = find_source([metadata.source])
    yield f'# {NAME}/{config.name} {VERSION}'
    yield ''
    if made:
        yield f'> **From {made.recordings}.** It says nothing about {made.not_about}.'
        yield ''
    yield f'{config.description} Each spike is 4 ms of loose-patch current of a neuron of the dorsal raphe nucleus:'
    yield f'{domain.SPIKE_SAMPLES} samples in pA at 40 kHz, {domain.SAMPLES_BEFORE_TRIGGER} of them before the trigger.'
    yield 'Label 0 is SER (serotonergic), 1 is NSER (not).'
    yield ''
    yield from _table(metadata, examples)
    yield ''
    yield from _how_made(metadata)
    yield ''
    yield '## Use'
    yield ''
    yield '```python'
    yield 'import tensorflow_datasets as tfds'
    yield ''
    yield f'builder = tfds.builder_from_directory({f"data/{NAME}/{config.name}/{VERSION}"!r})  # this folder'
    yield f'dataset = builder.as_dataset(split={next(iter(examples))!r})'
    yield '```'
    yield ''
    yield 'All records have the same length, so a shard is also an array: `record_layout.json` has the offsets.'
    yield '`croissant.json` describes the dataset for catalogues; `sero-verify` checks each byte.'
    yield ''
    yield '## Limits'
    yield ''
    yield '- Spikes of a cell resemble each other, and cells of a day share its noise: divide by cell, or by day.'
    yield '- The labels are those of the folders that the recordings were in.'
    yield ''
    yield '## How to cite'
    yield ''
    yield '```bibtex'
    yield BIBTEX.rstrip('\n')
    yield '```'


def _table(metadata: DatasetMetadata, examples: Mapping[str, int]) -> Iterator[str]:
    is_by_cell = all(cell.split is not None for cell in metadata.cells)
    yield '| split | spikes | SER cells | NSER cells |'
    yield '| --- | --- | --- | --- |'
    for split, count in examples.items():
        counts = [
            sum(cell.label == label for cell in metadata.cells if cell.split in (split, None))
            for label, _ in enumerate(domain.LABEL_NAMES)
        ]
        yield f'| {split} | {count:,} | {counts[0]} | {counts[1]} |'
    if not is_by_cell:
        yield ''
        yield 'The spikes were divided at random, as published: a cell can be in every split.'


def _how_made(metadata: DatasetMetadata) -> Iterator[str]:
    cutting = metadata.cutting
    threshold = (
        f'{cutting.trigger_pa:g} pA' if cutting.trigger_sd is None else f'{cutting.trigger_sd:g} times the noise'
    )
    yield f'Made by sero-spikes {metadata.sero_spikes_version}, protocol `{metadata.protocol}`, seed {metadata.seed},'
    yield f'baseline `{cutting.baseline}`, threshold {threshold}; fingerprint `{metadata.fingerprint}`.'
    if metadata.synthesis:
        low, high = metadata.synthesis.masks_per_spike
        yield f'Synthetic spikes: `{metadata.synthesis.recipe}`, {low} to {high} noise masks a spike.'
