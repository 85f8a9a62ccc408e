"""Prints the published figures beside those of two runs that sero-evaluate has evaluated side by side.

    python -m trainer.published.table paper/synthetic paper/original

The first folder holds the run trained on synthetic spikes, which was evaluated with the second as its baseline.
"""

from __future__ import annotations

import json
import os

from beam_pipelines import domain
from beam_pipelines.cli.command import run_command
from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.recordings.sources import find_source
from beam_pipelines.storage.atomic_files import file_named
from trainer.published import results as published_results
from trainer.published.results import TRAINED_ON_ORIGINAL, TRAINED_ON_SYNTHETIC

_ORIGINAL, _OTHER_DAYS = 'original/test', 'non_homogeneous/test'


def paper_table(metrics: dict, baseline_info: dict) -> str:
    """Returns one line per published figure, with ours beside it.

    Parameters
    ----------
    metrics : the content of ``metrics.json`` of a run trained on synthetic spikes, with a baseline trained on original.
    baseline_info : the content of that baseline's ``model_info.json``.
    """
    rows = [('', 'published', 'here'), *_network_rows(baseline_info), *_consensus_rows(metrics)]
    width = max(len(row[0]) for row in rows)
    lines = [f'{what.ljust(width)}  {published:<9}  {here}'.rstrip() for what, published, here in rows]
    return '\n'.join([*lines, '', *_notes(metrics)])


def _network_rows(baseline_info: dict) -> list[tuple[str, str, str]]:
    validation = baseline_info.get('validation', {})
    rows = []
    for kernel_size, accuracy in published_results.SINGLE_NETWORKS.items():
        ours = validation.get(f'k{kernel_size}', {}).get('accuracy')
        what = f'network k={kernel_size} trained on original, original spikes, accuracy'
        rows.append((what, _number(accuracy), f'{_number(ours)} (validation spikes)' if ours else 'not trained'))
    return rows


def _consensus_rows(metrics: dict) -> list[tuple[str, str, str]]:
    rows = []
    parts = (
        (TRAINED_ON_ORIGINAL, metrics['baseline'], _ORIGINAL, 'spike', 'original test spikes'),
        (TRAINED_ON_SYNTHETIC, metrics, _OTHER_DAYS, 'cell', 'cells of other days'),
    )
    for published, ours_by_split, split, unit, on_what in parts:
        for name, figure in published.metrics[split][unit].items():
            ours = ours_by_split[split][unit].get(name)
            rows.append((f'consensus {published.title}, {on_what}, {name}', _number(figure), _number(ours)))
    precision = _precision(metrics['baseline'][_OTHER_DAYS]['cell']['confusion'])
    for name, figure in published_results.PRECISION_TRAINED_ON_ORIGINAL.items():
        what = f'consensus trained on original, cells of other days called {name}, share right'
        rows.append((what, _number(figure), _number(precision[name])))
    return rows


def _precision(confusion: list[list[int]]) -> dict[str, float | None]:
    """Returns the share that is right of the cells called SER and of those called NSER, if all must be called."""
    called = [sum(column) for column in zip(*confusion, strict=True)]
    return {name: confusion[i][i] / called[i] if called[i] else None for i, name in enumerate(domain.LABEL_NAMES)}


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.4f}'


def _notes(metrics: dict) -> list[str]:
    model, baseline = metrics['model'], metrics['baseline']['model']
    notes = [
        f'left: {published_results.SOURCE}',
        f'right: trained on {model["trained_on"]} ({model["examples_seen"]:,} examples) and on {baseline["trained_on"]}'
        f' ({baseline["examples_seen"]:,} examples); protocol {model["protocol"]}',
    ]
    sources = {model['source'], baseline['source'], *metrics['evaluated_recordings'].values()}
    if made := find_source(sources):
        notes.append(f'All figures on the right are of {made.recordings} and say nothing about {made.not_about}.')
    return notes


def main(argv: list[str]) -> int:
    if len(argv) != 3:
        raise UsageError('expected two folders: the run trained on synthetic spikes, and its baseline')
    path = os.path.join(argv[1], 'evaluation', 'metrics.json')
    metrics = _read(path)
    if 'baseline' not in metrics:
        raise UserError('has no baseline; evaluate the run with --baseline_workdir', file=path)
    if _OTHER_DAYS not in metrics:
        raise UserError(f'has no {_OTHER_DAYS}; build the dataset non_homogeneous and evaluate again', file=path)
    print(paper_table(metrics, _read(os.path.join(argv[2], 'model_info.json'))))
    return 0


def _read(path: str) -> dict:
    try:
        with file_named(path), open(path, encoding='utf-8') as file:
            return json.load(file)
    except ValueError as error:
        raise UserError(str(error), file=path) from None


if __name__ == '__main__':
    run_command('python -m trainer.published.table', __name__)
