"""A model folder of an earlier version is evaluated, classified with and gone on with."""

import io
import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from tests.integration.frozen_files import FROZEN, ROOT, checked_run, csv_header, csv_rows, on_cpu_of_frozen

pytestmark = pytest.mark.slow

# Of probabilities and weights: another TensorFlow or processor may change the last digits, and cells.csv has four.
_TOLERANCE = 1.5e-4
_EXACT = ('cell', 'verdict', 'n_spikes', 'label')
# Since 0.1.0 sero-evaluate draws its bootstrap as sero-classify does: the ends of its intervals have moved a little.
_TOLERANCE_OF_ANOTHER_DRAW = 6e-3
_INTERVAL = ('p_ser_low', 'p_ser_high')


def _assert_same_rows(path, frozen, tolerance_of_interval=_TOLERANCE):
    # Columns that were added later come last.
    assert csv_header(path).removesuffix(',source').removesuffix(',set') == f'{csv_header(frozen)},warnings'
    rows, expected = csv_rows(path), csv_rows(frozen)
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        for column, value in wanted.items():
            if column in _EXACT or not value:
                assert row[column] == value, (row, wanted)
            else:
                tolerance = tolerance_of_interval if column in _INTERVAL else _TOLERANCE
                assert float(row[column]) == pytest.approx(float(value), abs=tolerance), (column, row, wanted)


def _keys(content, prefix=''):
    """Returns the path of each value in nested dicts."""
    if not isinstance(content, dict) or not content:
        return {prefix}
    return {path for key, value in content.items() for path in _keys(value, f'{prefix}/{key}')}


def _weights(path):
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read('model.weights.h5')))
    found = {}
    file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_old_model_is_evaluated(frozen_data_dir, tmp_path):
    checked_run(
        'trainer.evaluate', '--workdir', FROZEN / 'finished', '--data_dir', frozen_data_dir, '--output_dir', tmp_path
    )
    _assert_same_rows(tmp_path / 'cells.csv', FROZEN / 'evaluation_cells.csv', _TOLERANCE_OF_ANOTHER_DRAW)
    classified = {row['cell']: row for row in csv_rows(FROZEN / 'classification_cells.csv')}
    of_both = [row for row in csv_rows(tmp_path / 'cells.csv') if row['cell'] in classified]
    assert len(of_both) == len(classified)
    for row in of_both:
        for column in _INTERVAL:
            same = float(classified[row['cell']][column])
            assert float(row[column]) == pytest.approx(same, abs=_TOLERANCE), (column, row)
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    added = ('/controls/', '/beside_noise_alone/', '/model/calibration/days', '/model/calibration/day_error')
    assert sorted(key for key in _keys(metrics) if not key.startswith(added)) == json.loads(
        (FROZEN / 'metrics_keys.json').read_text()
    )


def test_old_model_classifies(frozen_recordings, tmp_path):
    checked_run(
        'sero-classify', '--model', FROZEN / 'finished', '--output_dir', tmp_path, frozen_recordings / 'non_homogeneous'
    )
    _assert_same_rows(tmp_path / 'cells.csv', FROZEN / 'classification_cells.csv')
    assert (
        csv_header(tmp_path / 'spikes.csv').removesuffix(',source')
        == (FROZEN / 'spikes_header.csv').read_text().strip()
    )


@on_cpu_of_frozen
def test_old_run_goes_on(frozen_data_dir, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(FROZEN / 'interrupted', workdir)
    config = json.loads((workdir / 'config.json').read_text())
    fields = [
        f'--config.{name}={",".join(map(str, value)) if isinstance(value, list) else value}'
        for name, value in config.items()
    ]
    result = checked_run(
        'trainer.train',
        '--config', ROOT / 'trainer/configs/default.py',
        *fields,
        '--config.augment=()',
        '--config.held_out_days=0',
        '--data_dir', frozen_data_dir,
        '--workdir', workdir,
    )  # fmt: skip
    assert 'going on from step 61 ' in result.stderr
    info, expected = (json.loads((folder / 'model_info.json').read_text()) for folder in (workdir, FROZEN / 'finished'))
    added = ('/cutting', '/config/held_out_days', '/config/augment')
    assert {key for key in _keys(info) if not key.startswith(added)} == _keys(expected)
    assert (info['finished'], info['epochs'], info['best_epoch']) == (True, 3, expected['best_epoch'])
    for name in ('members/k4.keras', 'members/k6.keras', 'consensus.keras'):
        weights, wanted = _weights(workdir / name), _weights(FROZEN / 'finished' / name)
        assert weights.keys() == wanted.keys() and weights
        for variable, value in wanted.items():
            np.testing.assert_allclose(weights[variable], value, atol=_TOLERANCE, err_msg=f'{name} {variable}')
    written = {path.relative_to(workdir).as_posix() for path in workdir.rglob('*') if path.is_file()}
    frozen = {path.relative_to(FROZEN / 'finished').as_posix() for path in (FROZEN / 'finished').rglob('*')}
    assert {path for path in frozen if '.' in path} <= written
