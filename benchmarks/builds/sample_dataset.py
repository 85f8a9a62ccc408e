"""A synthetic dataset to measure on: cells with random spikes and noise, and the plan of a dataset made from them."""

from __future__ import annotations

import functools
import os

import msgspec
import numpy as np

from beam_pipelines.planning.example_source import ExampleSource
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, IngestedCell, plan_dataset
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.storage import files
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.staged_bank import open_bank, stage_bank

_CELLS, _SPIKES_A_CELL, _MASKS_A_CELL = 150, 280, 10  # about as published: 43,000 spikes, 600 masks from 105 cells


def prepare(data_dir: str, examples: int) -> DatasetPlan:
    """Plans ``synthetic`` from random cells and stages its spikes and masks, as a build does before it writes shards.

    Parameters
    ----------
    data_dir : a folder; the plan and the staged files go where a build writes them.
    examples : examples in the dataset, half of each class.
    """
    paths = BuildPaths(data_dir)
    generator = np.random.default_rng(0)
    cells = []
    for number in range(_CELLS):
        cell = CellSpikes(
            generator.normal(-10, 20, (_SPIKES_A_CELL, 160)).astype(np.float32),
            np.arange(_SPIKES_A_CELL) * 10_000,
            generator.normal(0, 3.5, (_MASKS_A_CELL, 160)).astype(np.float32),
            np.arange(_MASKS_A_CELL) * 160,
        )
        staged = os.path.join(paths.staging, f'{number}.spikes')
        files.write_bytes(staged, cell.to_bytes())
        report = ExtractionReport(1, (), _SPIKES_A_CELL, _SPIKES_A_CELL, 0, 100.0)
        cells.append(
            IngestedCell(
                'original',
                number % 2,
                f'BENCH#{number:03d}',
                staged,
                cell.fingerprint(),
                _MASKS_A_CELL,
                report,
                cell.spikes_fingerprint(),
            )
        )
    options = BuildOptions(
        recordings='',
        data_dir=data_dir,
        configs=('synthetic',),
        synthetic_examples=(examples - examples // 2, examples // 2),
    )
    plan = plan_dataset('synthetic', cells, options)
    files.write_json(paths.plan('synthetic'), msgspec.to_builtins(plan))
    stage_bank(plan, paths)
    return plan


@functools.cache
def open_source(data_dir: str, examples: int) -> ExampleSource:
    """Prepares the dataset and opens its example source, once per process.

    Call it within a Beam function: Beam would pickle and compress a source that a function holds again for every step,
    which takes longer than making many examples.
    """
    plan = prepare(data_dir, examples)
    return ExampleSource(plan, open_bank(plan, BuildPaths(data_dir)))
