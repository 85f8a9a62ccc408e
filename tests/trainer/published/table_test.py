import copy
import json
import subprocess
import sys

import pytest

from beam_pipelines.cli.command import run_main
from tests.support.commands import error_line
from tests.support.places import ROOT
from trainer.published import results as published_results
from trainer.published import table as paper_table

SPLIT = {
    'spike': {'accuracy': 0.91, 'auc': 0.95},
    'cell': {
        'accuracy': 0.8,
        'sensitivity': 0.75,
        'specificity': 0.9,
        'auc': 0.85,
        'confusion': [[30, 10], [2, 18]],  # SER called SER and NSER, NSER called SER and NSER
    },
}
MODEL = {'source': 'recorded', 'protocol': 'published', 'trained_on': 'synthetic', 'examples_seen': 1000}
METRICS = {
    'original/test': SPLIT,
    'non_homogeneous/test': SPLIT,
    'model': MODEL,
    'evaluated_recordings': {'original/test': 'recorded'},
    'baseline': {
        'original/test': SPLIT,
        'non_homogeneous/test': SPLIT,
        'model': {**MODEL, 'trained_on': 'original'},
    },
}
INFO = {'validation': {'k20': {'accuracy': 0.9712, 'auc': 0.99}}}


def line_of(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def test_published_figures_stand_beside_ours():
    table = paper_table.paper_table(METRICS, INFO)
    line = line_of(table, 'consensus trained on synthetic, cells of other days, accuracy')
    assert line.split()[-2:] == ['0.9375', '0.8000']
    line = line_of(table, 'consensus trained on original, original test spikes, auc')
    assert line.split()[-2:] == ['0.9970', '0.9500']
    assert '0.9846     0.9712 (validation spikes)' in line_of(table, 'network k=20 ')
    assert line_of(table, 'network k=31 ').endswith('0.9855     not trained')


def test_all_published_figures_are_there():
    table = paper_table.paper_table(METRICS, INFO)
    figures = [*published_results.SINGLE_NETWORKS.values(), *published_results.PRECISION_TRAINED_ON_ORIGINAL.values()]
    for result in (published_results.TRAINED_ON_ORIGINAL, published_results.TRAINED_ON_SYNTHETIC):
        for units in result.metrics.values():
            for metrics in units.values():
                figures.extend(metrics.values())
    assert len(figures) == 16
    for figure in figures:
        assert f'{figure:.4f}' in table


def test_precision_is_of_the_cells_that_are_called_so():
    table = paper_table.paper_table(METRICS, INFO)
    assert line_of(table, 'consensus trained on original, cells of other days called SER').endswith(f'{30 / 32:.4f}')
    assert line_of(table, 'consensus trained on original, cells of other days called NSER').endswith(f'{18 / 28:.4f}')


@pytest.mark.parametrize('where', ['model', 'baseline', 'evaluated'])
def test_simulated_stamp_follows(where):
    assert 'SIMULATED' not in paper_table.paper_table(METRICS, INFO)
    metrics = copy.deepcopy(METRICS)
    if where == 'model':
        metrics['model']['source'] = 'simulated'
    elif where == 'baseline':
        metrics['baseline']['model']['source'] = 'simulated'
    else:
        metrics['evaluated_recordings']['original/test'] = 'simulated'
    assert 'SIMULATED' in paper_table.paper_table(metrics, INFO)


def test_stamp_of_real_shapes_is_its_own():
    metrics = copy.deepcopy(METRICS)
    metrics['model']['source'] = 'real_shapes'
    table = paper_table.paper_table(metrics, INFO)
    assert 'of recordings of REAL SPIKE SHAPES under SIMULATED NOISE and say nothing about raphe neurons' in table


def run_module(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'trainer.published.table', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_what_is_missing_is_one_line(tmp_path, capsys, monkeypatch):
    synthetic, original = tmp_path / 'synthetic', tmp_path / 'original'
    arguments = ['paper_table', str(synthetic), str(original)]
    monkeypatch.setattr(sys, 'argv', arguments)
    assert run_main(paper_table.main, arguments) == 1
    metrics = synthetic / 'evaluation' / 'metrics.json'
    assert capsys.readouterr().err == f'paper_table: {metrics}: No such file or directory\n'
    metrics.parent.mkdir(parents=True)
    original.mkdir()
    (original / 'model_info.json').write_text(json.dumps(INFO))
    metrics.write_text(json.dumps({key: value for key, value in METRICS.items() if key != 'baseline'}))
    assert run_main(paper_table.main, arguments) == 1
    assert capsys.readouterr().err == (
        f'paper_table: {metrics}: has no baseline; evaluate the run with --baseline_workdir\n'
    )
    metrics.write_text(json.dumps({key: value for key, value in METRICS.items() if key != 'non_homogeneous/test'}))
    assert run_main(paper_table.main, arguments) == 1
    assert 'has no non_homogeneous/test' in capsys.readouterr().err
    metrics.write_text('{')
    assert run_main(paper_table.main, arguments) == 1
    assert capsys.readouterr().err.startswith(f'paper_table: {metrics}: Expecting property name')


def test_module_shows_its_help_and_names_mistakes_in_one_line():
    shown = run_module('--help')
    assert shown.returncode == 0
    assert 'python -m trainer.published.table paper/synthetic paper/original' in shown.stdout
    assert error_line(run_module('one')) == (
        'python -m trainer.published.table: expected two folders: the run trained on synthetic spikes, and its baseline'
    )
