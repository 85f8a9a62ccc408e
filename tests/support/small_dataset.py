"""A small dataset for tests: cells with known spikes, a plan and the source of its examples."""

import pathlib

import numpy as np

from beam_pipelines.datasets.configs import shard_name
from beam_pipelines.planning.example_source import ExampleSource
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, IngestedCell, plan_dataset
from beam_pipelines.planning.spike_bank import MappedBank, encode_bank
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.transforms.write_shards import WrittenShard, write_shard


def _make_cells() -> dict[str, CellSpikes]:
    """Cells in which every number says where it is from: spike j of cell i is at trigger 1000 i + j."""
    generator = np.random.default_rng(0)
    cells = {}
    for number in range(12):
        spikes = 20 + number
        cells[f'D{number}#{number:02d}'] = CellSpikes(
            generator.normal(-20, 30, (spikes, 160)).astype(np.float32),
            1000 * number + np.arange(spikes),
            generator.normal(0, 3, (30, 160)).astype(np.float32),
            160 * np.arange(30),
        )
    return cells


CELLS = _make_cells()


def make_source(config: str, **options) -> tuple[DatasetPlan, ExampleSource]:
    """Plans a dataset of ``CELLS`` and gives the source of its examples."""
    ingested = [
        IngestedCell(
            'original',
            number % 2,
            cell_id,
            cell_id,
            cell.fingerprint(),
            len(cell.masks),
            _report(cell),
            cell.spikes_fingerprint(),
        )
        for number, (cell_id, cell) in enumerate(CELLS.items())
    ]
    options = BuildOptions('r', 'd', (config,), num_masks=40, max_shard_bytes=100_000, **options)
    plan = plan_dataset(config, ingested, options)
    return plan, ExampleSource(plan, make_bank(plan))


def make_bank(plan: DatasetPlan) -> MappedBank:
    """Gives the spikes and masks of a dataset of ``CELLS``."""
    return MappedBank(plan, b''.join(encode_bank(plan, lambda staged: CELLS[staged].to_bytes())), 'bank')


def write_shards(plan: DatasetPlan, source: ExampleSource, folder: pathlib.Path) -> list[WrittenShard]:
    """Writes all shards of a dataset into a folder."""
    return [
        write_shard(
            source,
            (split, number, range(*plan.shard_range(split, number))),
            str(folder / shard_name(split, number, shards)),
        )
        for split, shards in plan.shards.items()
        for number in range(shards)
    ]


def _report(cell: CellSpikes) -> ExtractionReport:
    return ExtractionReport(1, (), len(cell.waveforms), len(cell.waveforms), 0, 30.0)
