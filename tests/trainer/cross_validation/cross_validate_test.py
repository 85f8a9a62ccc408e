import csv
import json
import pathlib
import subprocess

import numpy as np
import pytest

from tests.support.commands import error_line, run_command
from tests.support.recordings import write_spike_csv
from tests.support.spikes import as_cut, make_spikes
from tests.support.training_runs import TINY_RUN, train_arguments

pytestmark = pytest.mark.slow

CONFIG = TINY_RUN | {'train_on': 'original', 'examples_per_epoch': 128, 'epochs': 2, 'kernel_sizes': (5,)}
SATURATED = 'D1#2N'


@pytest.fixture(scope='module')
def data_of_days(tmp_path_factory) -> pathlib.Path:
    """A data directory with `original`: four days of three cells, the classes of `make_spikes`, six spikes a cell.

    The amplifier was saturated in the recording of one cell.
    """
    folder = tmp_path_factory.mktemp('days')
    waveform, label = make_spikes(400)
    for name in ('SER', 'NSER'):
        of_class = iter(as_cut(waveform[label == (name == 'NSER')]))
        for day in range(4):
            for number in range(3):
                cell = f'D{day}#{number}{name[0]}'
                lowest_pa = -70 if cell == SATURATED else -1000
                for spike in range(6):
                    waveform_pa = np.maximum(next(of_class), np.float32(lowest_pa))
                    write_spike_csv(folder / 'recordings' / 'original' / name / cell, 1000 * (spike + 1), waveform_pa)
    result = run_command(
        'sero-build', '--recordings', folder / 'recordings', '--data_dir', folder / 'data', '--configs', 'original'
    )
    assert result.returncode == 0, result.stderr
    return folder / 'data'


def cross_validate(division: str, data_dir: pathlib.Path, workdir: pathlib.Path, *more: str, **config):
    arguments = train_arguments(CONFIG | config, data_dir, workdir)
    return run_command('sero-evaluate', f'--cross_validate={division}', *arguments, *more)


@pytest.fixture(scope='module')
def by_day(data_of_days, tmp_path_factory) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    workdir = tmp_path_factory.mktemp('by_day')
    result = cross_validate('day', data_of_days, workdir, '--folds=2')
    assert result.returncode == 0, result.stderr
    return workdir, result


def test_each_cell_is_classified_once(by_day):
    folder = by_day[0] / 'cross_validation' / 'day'
    with open(folder / 'cells.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len({row['cell'] for row in rows}) == len(rows) == 24
    assert all(row['n_spikes'] == '6' for row in rows)
    metrics = json.loads((folder / 'metrics.json').read_text(), parse_constant=pytest.fail)
    found = metrics['original/cross_validation_day']
    assert (found['cell']['n'], found['spike']['n']) == (24, 144)
    assert found['spike']['accuracy'] > 0.6
    assert metrics['source'] == 'recorded'
    assert {row['set'] for row in rows} == {'original/cross_validation_day'}


def test_cells_have_the_warnings_that_their_spikes_tell(by_day):
    folder = by_day[0] / 'cross_validation' / 'day'
    with open(folder / 'cells.csv', newline='') as file:
        codes = {row['cell']: row['warnings'].split(';') for row in csv.DictReader(file)}
    assert [cell for cell, of_cell in codes.items() if 'saturation' in of_cell] == [SATURATED]
    # Each fold's ensemble was trained on other cells.
    assert not any('trained_on_cell' in of_cell for of_cell in codes.values())
    assert '24 cells: ' in by_day[1].stdout and 'outside the range of the training cells' in by_day[1].stdout


def test_controls_are_trained_and_tested_on_the_cells_of_each_fold(by_day):
    metrics = json.loads((by_day[0] / 'cross_validation' / 'day' / 'metrics.json').read_text())
    controls = metrics['controls']['original/cross_validation_day']
    for control in controls.values():
        assert (control['cell']['n'], control['spike']['n']) == (24, 144)
    # On days that are left out the day tells nothing, and the classes are even.
    assert controls['day_only']['cell']['accuracy'] == 0.5
    assert metrics['beside_noise_alone']['original/cross_validation_day']['words'] in by_day[1].stdout
    assert by_day[1].stdout.count('  control: ') == 3


def test_progress_names_each_fold(by_day):
    lines = [line for line in by_day[1].stderr.splitlines() if 'fold' in line]
    assert [line.split(',')[0] for line in lines] == ['1 of 2: fold 1 of 2', '2 of 2: fold 2 of 2']
    assert '12 cells tested, 6 trained on' in lines[0]


def test_second_run_trains_only_the_fold_that_is_missing_and_finds_the_same(by_day, data_of_days):
    folder = by_day[0] / 'cross_validation' / 'day'
    before = {name: (folder / name).read_bytes() for name in ('cells.csv', 'metrics.json')}
    kept = (folder / 'fold-001.npz').stat().st_mtime_ns
    (folder / 'fold-002.npz').write_bytes((folder / 'fold-002.npz').read_bytes()[:-50])
    result = cross_validate('day', data_of_days, by_day[0], '--folds=2')
    assert result.returncode == 0, result.stderr
    assert (folder / 'fold-001.npz').stat().st_mtime_ns == kept
    assert [line for line in result.stderr.splitlines() if 'fold' in line][0].startswith('2 of 2: fold 2')
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_other_settings_need_another_folder(by_day, data_of_days):
    line = error_line(cross_validate('day', data_of_days, by_day[0], '--folds=2', seed=8))
    folder = by_day[0] / 'cross_validation' / 'day'
    assert line == f'sero-evaluate: {folder}: holds a cross-validation of other settings or data; use another --workdir'


def test_synthetic_spikes_of_the_published_division_and_its_stamp(data_dir, tmp_path):
    result = cross_validate('spike', data_dir, tmp_path, train_on='synthetic_small')
    assert result.returncode == 0, result.stderr
    assert 'random by spike, as published' in result.stdout
    assert 'SIMULATED' in result.stdout
    content = json.loads((tmp_path / 'cross_validation' / 'spike' / 'metrics.json').read_text())
    assert content['source'] == 'simulated'
    with open(tmp_path / 'cross_validation' / 'spike' / 'cells.csv', newline='') as file:
        codes = [row['warnings'].split(';') for row in csv.DictReader(file)]
    # Spikes of every cell were trained on; those that are tested are too sparse to tell how often a cell fires.
    assert all('trained_on_cell' in of_cell and 'firing_rate_low' not in of_cell for of_cell in codes)


def test_fold_uses_the_noise_of_its_training_cells_alone(data_dir):
    from trainer.cross_validation.cross_validate import _synthesizer, open_synthetic, read_recorded_spikes

    spikes = read_recorded_spikes(str(data_dir))
    synthetic = open_synthetic(str(data_dir), 'synthetic_small')
    masks_from = synthetic.metadata.synthesis.masks_from_cells
    [first, second] = list(masks_from)[:2]
    of_both = _synthesizer(synthetic, spikes.waveform, spikes.label, {first, second}).noise_masks
    of_all = _synthesizer(synthetic, spikes.waveform, spikes.label, set(masks_from)).noise_masks
    assert len(of_both) == masks_from[first] + masks_from[second] < len(of_all)
    np.testing.assert_array_equal(of_all, synthetic.bank.noise_masks)


def test_recordings_of_too_few_days_are_named(data_dir, tmp_path):
    line = error_line(cross_validate('day', data_dir, tmp_path))
    assert line.startswith('sero-evaluate: day SIM0001: without its cells SER was recorded on 1 days')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--cross_validate=day'], '--cross_validate takes a --config'),
        (['--folds=3'], '--folds goes with --cross_validate'),
        (['--cross_validate=spike', '--folds=3'], '--folds goes with --cross_validate=day'),
        (['--cross_validate=day', '--baseline_workdir=b'], '--baseline_workdir does not go with --cross_validate'),
    ],
)
def test_flags_that_do_not_go_together_are_named(arguments, message, tmp_path):
    result = run_command('sero-evaluate', *arguments, '--data_dir', tmp_path, '--workdir', tmp_path)
    assert result.returncode == 2
    assert error_line(result) == f'sero-evaluate: {message}'
