"""A small dataset for tests: cells with known spikes, a plan and the source of its examples."""

import numpy as np

from beam_pipelines.planning.example_source import ExampleSource
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, IngestedCell, plan_dataset
from beam_pipelines.spikes.extraction import CellSpikes, ExtractionReport


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
    return plan, ExampleSource(plan, lambda staged: CELLS[staged].to_bytes())


def _report(cell: CellSpikes) -> ExtractionReport:
    return ExtractionReport(1, (), len(cell.waveforms), len(cell.waveforms), 0, 30.0)
