"""Plans a dataset: from the reports on all recordings to cells, splits, noise masks and shards."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import CONFIGS, DatasetConfig
from beam_pipelines.errors import UserError
from beam_pipelines.planning import splits
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.recordings.published_arrays import ArrayFiles
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, SpikeCutting
from beam_pipelines.spikes import noise_masks
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.synthesis.synthesizer import Recipe


@dataclasses.dataclass(frozen=True)
class IngestedCell:
    """A cell that can be used, and where its spikes are staged."""

    recording_set: str
    label: int
    cell_id: str
    staged: str
    fingerprint: str
    masks: int
    report: ExtractionReport
    spikes_fingerprint: str


@dataclasses.dataclass(frozen=True)
class PlannedCell:
    """A cell's part in a dataset.

    Attributes
    ----------
    cell_id, label : the cell and its class.
    staged : where its spikes are.
    spikes : how many spikes it has.
    split : its split; None where spikes rather than cells are split.
    masks : how many of its noise masks are used.
    fingerprint : a hash of the staged spikes and masks.
    """

    cell_id: str
    label: int
    staged: str
    spikes: int
    split: str | None
    masks: int
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class PlannedArrays:
    """A set of published arrays, and how many rows it has."""

    files: ArrayFiles
    examples: int


@dataclasses.dataclass(frozen=True)
class DatasetPlan:
    """Everything that a worker needs to make any shard of a dataset.

    Attributes
    ----------
    config : name of the config.
    seed, protocol, recipe : as in ``BuildOptions``.
    cutting : how the spikes were found and cut.
    synthetic_examples : how many examples of each class are made, SER first; None for recorded spikes.
    cells : the dataset's cells; a record stores its cell's position in this tuple.
    examples : how many examples each split has.
    shards : how many shards each split has.
    splits_fingerprint : a hash of which cells of the recording set are in which split.
    fingerprint : a hash of everything that the shards' bytes depend on.
    arrays : what the examples are read from, if they are the published synthetic spikes.
    """

    config: str
    seed: int
    protocol: str
    recipe: Recipe
    synthetic_examples: tuple[int, int] | None
    cells: tuple[PlannedCell, ...]
    examples: dict[str, int]
    shards: dict[str, int]
    splits_fingerprint: str
    fingerprint: str
    cutting: SpikeCutting = PUBLISHED_CUTTING
    arrays: tuple[PlannedArrays, ...] = ()

    def shard_range(self, split: str, number: int) -> tuple[int, int]:
        """Returns the first example of a shard and the first one after it."""
        examples, shards = self.examples[split], self.shards[split]
        return examples * number // shards, examples * (number + 1) // shards


def plan_dataset(config_name: str, ingested: Sequence[IngestedCell], options: BuildOptions) -> DatasetPlan:
    """Plans one dataset.

    Parameters
    ----------
    config_name : one of ``datasets.CONFIGS``.
    ingested : all usable cells of all recordings, in any order.
    options : the build's options.

    Raises
    ------
    UserError
        If there are not enough recordings: a class without cells, too few cells to split, or too few noise masks.
    """
    config = CONFIGS[config_name]
    _check_recordings_differ(ingested)
    cells = sorted(
        (cell for cell in ingested if cell.recording_set == config.recording_set), key=lambda cell: cell.cell_id
    )
    for label, name in enumerate(domain.LABEL_NAMES):
        if not any(cell.label == label for cell in cells):
            raise UserError(f'{config_name}: no usable {name} recording in {config.recording_set}/{name}')
    split_of, examples = _split(config, cells, options)
    masks_of = _choose_masks(config, cells, split_of, options)
    splits_fingerprint = hash_content([(cell.cell_id, cell.label, split_of.get(cell.cell_id)) for cell in cells])
    synthetic_examples = options.examples_of(config)
    if synthetic_examples:
        examples = {'train': sum(synthetic_examples)}
        cells = [cell for cell in cells if split_of.get(cell.cell_id) in ('train', None)]
    record_bytes = record_layout.RECORD_BYTES
    return DatasetPlan(
        config=config_name,
        seed=options.seed,
        protocol=options.protocol,
        recipe=options.recipe,
        synthetic_examples=synthetic_examples,
        cells=tuple(
            PlannedCell(
                cell.cell_id,
                cell.label,
                cell.staged,
                cell.report.spikes,
                split_of.get(cell.cell_id),
                masks_of.get(cell.cell_id, 0),
                cell.fingerprint,
            )
            for cell in cells
        ),
        examples=examples,
        shards={split: -(-count * record_bytes // options.max_shard_bytes) for split, count in examples.items()},
        splits_fingerprint=splits_fingerprint,
        fingerprint=_fingerprint(config, cells, options),
        cutting=options.reading.cutting,
    )


def _check_recordings_differ(ingested: Sequence[IngestedCell]) -> None:
    """Raises UserError if two cells have one id, or hold the same spikes and could land on both sides of a split."""
    first_of: dict[str, str] = {}
    cells = sorted(ingested, key=lambda cell: cell.cell_id)
    for one, other in itertools.pairwise(cells):
        if one.cell_id == other.cell_id:
            raise UserError(f'{one.cell_id}: two recordings have this cell id; rename one of them')
    for cell in cells:
        first = first_of.setdefault(cell.spikes_fingerprint, cell.cell_id)
        if first != cell.cell_id:
            raise UserError(f'{first} and {cell.cell_id} are the same recording under two names; remove one of them')


def _split(
    config: DatasetConfig, cells: Sequence[IngestedCell], options: BuildOptions
) -> tuple[dict[str, str], dict[str, int]]:
    """Returns the split of each cell (none for the published protocol) and how many spikes each split has."""
    spikes = sum(cell.report.spikes for cell in cells)
    if config.recording_set == 'non_homogeneous':
        return {cell.cell_id: 'test' for cell in cells}, {'test': spikes}
    if options.protocol == 'published':
        rows = splits.split_spikes(spikes, options.seed)
        return {}, {split: len(rows[split]) for split in splits.SPLITS}
    split_of = splits.split_cells([cell.cell_id for cell in cells], [cell.label for cell in cells], options.seed)
    examples = dict.fromkeys(splits.SPLITS, 0)
    for cell in cells:
        examples[split_of[cell.cell_id]] += cell.report.spikes
    return split_of, examples


def _choose_masks(
    config: DatasetConfig, cells: Sequence[IngestedCell], split_of: Mapping[str, str], options: BuildOptions
) -> dict[str, int]:
    """Returns how many noise masks each training cell contributes to a synthetic dataset."""
    if not config.synthetic_examples:
        return {}
    sources = [cell for cell in cells if split_of.get(cell.cell_id) in ('train', None)]
    shares = noise_masks.spread_over_recordings([cell.masks for cell in sources], options.num_masks)
    return {cell.cell_id: share for cell, share in zip(sources, shares, strict=True)}


def _fingerprint(config: DatasetConfig, cells: Sequence[IngestedCell], options: BuildOptions) -> str:
    content = {
        'format_version': record_layout.FORMAT_VERSION,
        'config': config.name,
        'synthetic_examples': options.examples_of(config),
        'seed': options.seed,
        'protocol': options.protocol,
        'max_shard_bytes': options.max_shard_bytes,
        'num_masks': options.num_masks,
        'recipe': dataclasses.asdict(options.recipe),
        'cells': [(cell.cell_id, cell.label, cell.fingerprint) for cell in cells],
    }
    return hash_content(content)


def hash_content(content: dict | list) -> str:
    """Returns a hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
