"""The files of a run's folder but for its networks."""

from __future__ import annotations

import json
import pathlib
import random

import numpy as np

from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.npy_mutation import mutate_npy
from tests.fuzz.target import target_of_content, target_of_file, write_files
from tests.fuzz.zip_mutation import mutate_zip
from tests.integration.frozen_files import FROZEN
from tests.support.spikes import make_spikes
from tests.support.training_runs import TINY_RUN
from trainer.config import check_config
from trainer.cross_validation.headline import name_result, read_headline
from trainer.evaluation import calibration, firing, training_range
from trainer.evaluation.out_of_distribution import training_warnings
from trainer.models import manifest, model_info
from trainer.reports.terminal import division_table
from trainer.training import checkpoints, run_folder
from trainer.training.run_places import places_within

_RUN = FROZEN / 'finished'
_STATE = 'step_000000144/state.json'
_METRICS = 'cross_validation/day/metrics.json'
_CONSENSUS = np.array([0.0, 1e-9, 0.3, 0.5, 0.9, 1.0])
_FIRING = firing.FiringModel(
    intercept=0.1, of_shape=1.0, of_rate=-0.5, of_cv=2.0, cells=20, log_loss=0.4, log_loss_of_shape=0.5
)


def _is_probability(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _read_calibration(folder: pathlib.Path) -> None:
    loaded = calibration.load(str(folder))
    assert _is_probability(np.asarray(loaded.apply(_CONSENSUS), float)), loaded
    assert _is_probability(np.array(loaded.limits, float)), loaded
    calibration.write(str(folder), loaded)


def _read_firing(folder: pathlib.Path) -> None:
    loaded = firing.load(str(folder))
    assert _is_probability(np.array([loaded.apply(p, np.arange(30) * 1000) for p in (0.01, 0.5, 0.99)])), loaded


def _read_model_info(folder: pathlib.Path) -> None:
    info = model_info.read(str(folder))
    assert info.examples_of_kept_epochs is None or info.examples_of_kept_epochs >= 0
    model_info.write(str(folder), info)


def _resume(folder: pathlib.Path) -> None:
    run_folder.reserve_workdir(places_within(str(folder)), check_config(TINY_RUN), writes=False)


def _read_range(folder: pathlib.Path) -> None:
    loaded = training_range.load(str(folder))
    traits = training_range.measure_traits(make_spikes(20)[0], np.arange(20) * 40_000)
    for warning in training_warnings(traits, loaded):
        assert '\n' not in str(warning)


def _read_headline(folder: pathlib.Path) -> None:
    found = read_headline(str(folder), 'day')
    division_table({'day': found} if found else {})


def _change_range(content: bytes, chance: random.Random) -> bytes:
    return mutate_zip(content, lambda name, entry, chance: mutate_npy(entry, chance), chance)


def _make_isotonic(folder: pathlib.Path) -> None:
    knots = ((0.0, 0.02), (0.4, 0.3), (0.6, 0.9), (1.0, 0.98))
    fitted = calibration.Calibration('isotonic', knots=knots, confidence=0.9, target_error=0.03, cells=120, decided=100)
    calibration.write(str(folder), fitted)


def _make_manifest(folder: pathlib.Path) -> None:
    write_files(folder, {name: (_RUN / name).read_bytes() for name in ('model_info.json', 'calibration.json')})
    manifest.write(str(folder))


def _make_run_with_checkpoint(folder: pathlib.Path) -> None:
    (folder / 'checkpoints' / 'step_000000001').mkdir(parents=True)  # without one the config may change
    run_folder.reserve_workdir(places_within(str(folder)), check_config(TINY_RUN), writes=True)


def _make_state(folder: pathlib.Path) -> None:
    (state,) = _RUN.glob('checkpoints/*/state.json')
    write_files(folder, {_STATE: state.read_bytes()})


def _make_headline(folder: pathlib.Path) -> None:
    cell = {'accuracy': 0.95, 'accuracy_low': 0.8, 'accuracy_high': 1.0, 'n': 30, 'coverage': 0.9}
    figures = {'spike': {'accuracy': 0.9, 'auc': 0.97, 'n': 700}, 'cell': cell}
    name = name_result('day')
    content = {name: figures, 'controls': {name: {'day_only': figures}}}
    write_files(folder, {_METRICS: json.dumps(content).encode()})


TARGETS = (
    target_of_file('calibration.json', _make_isotonic, mutate_json, _read_calibration),
    target_of_file('firing.json', lambda folder: firing.write(str(folder), _FIRING), mutate_json, _read_firing),
    target_of_content('model_info.json', (_RUN / 'model_info.json').read_bytes(), mutate_json, _read_model_info),
    target_of_file('manifest.json', _make_manifest, mutate_json, lambda folder: manifest.check_files(str(folder))),
    target_of_file('config.json', _make_run_with_checkpoint, mutate_json, _resume),
    target_of_file(_STATE, _make_state, mutate_json, lambda folder: checkpoints.load_newest(str(folder))),
    target_of_content('training_range.npz', (_RUN / 'training_range.npz').read_bytes(), _change_range, _read_range),
    target_of_file(_METRICS, _make_headline, mutate_json, _read_headline),
)
