"""Plans the dataset of the published synthetic spikes, from arrays of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import ARRAYS
from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, PlannedArrays, PlannedCell, hash_content
from beam_pipelines.recordings.published_arrays import ArrayFiles


@dataclasses.dataclass(frozen=True)
class IngestedArrays:
    """A set of arrays that can be used.

    Attributes
    ----------
    files : where they are.
    spikes : cell id -> its label and number of spikes.
    fingerprint : a hash of the arrays.
    """

    files: ArrayFiles
    spikes: dict[str, tuple[int, int]]
    fingerprint: str


def plan_arrays(ingested: Sequence[IngestedArrays], options: BuildOptions) -> DatasetPlan:
    """Plans the dataset.

    Parameters
    ----------
    ingested : all usable sets of arrays, in any order.
    options : the build's options.

    Raises
    ------
    UserError
        If there is no spike of a class, or a cell has different labels in two sets.
    """
    sets = sorted(ingested, key=lambda arrays: arrays.files.paths)
    spikes: dict[str, tuple[int, int]] = {}
    for arrays in sets:
        for cell_id, (label, count) in arrays.spikes.items():
            known_label, known = spikes.get(cell_id, (label, 0))
            if known_label != label:
                raise UserError(f'{arrays.files.labels}: cell {cell_id} has another label than in an earlier set')
            spikes[cell_id] = label, known + count
    for label, name in enumerate(domain.LABEL_NAMES):
        if all(of_cell != label for of_cell, _ in spikes.values()):
            raise UserError(f'{ARRAYS}: no usable spike of class {name}')
    examples = sum(count for _, count in spikes.values())
    cells = tuple(
        PlannedCell(cell_id, label, '', count, 'train', 0, '') for cell_id, (label, count) in sorted(spikes.items())
    )
    return DatasetPlan(
        config=ARRAYS,
        seed=options.seed,
        protocol=options.protocol,
        recipe=options.recipe,
        synthetic_examples=None,
        cells=cells,
        examples={'train': examples},
        shards={'train': -(-examples * record_layout.RECORD_BYTES // options.max_shard_bytes)},
        splits_fingerprint=hash_content([(cell.cell_id, cell.label, cell.split) for cell in cells]),
        fingerprint=hash_content(
            {
                'format_version': record_layout.FORMAT_VERSION,
                'config': ARRAYS,
                'seed': options.seed,
                'max_shard_bytes': options.max_shard_bytes,
                'arrays': [arrays.fingerprint for arrays in sets],
            }
        ),
        cutting=options.reading.cutting,
        arrays=tuple(PlannedArrays(of.files, sum(count for _, count in of.spikes.values())) for of in sets),
    )
