"""The figures of a model's evaluation that its card shows, out of ``metrics.json``."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from beam_pipelines.errors import UserError
from beam_pipelines.storage.typed_json import read_typed
from trainer.errors import ModelError
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.controls import TITLES
from trainer.evaluation.outputs import without_nan
from trainer.evaluation.results import ORIGINAL_TEST, OTHER_DAYS

_SET_TITLES = {OTHER_DAYS: 'cells of other days', ORIGINAL_TEST: 'test cells of the training days'}
_INDEX_METRICS = {'accuracy': 'accuracy', 'auc': 'roc_auc', 'brier': 'brier_score'}


class _OfCells(msgspec.Struct, frozen=True):
    """The metrics of some cells; None where they are not defined, or a control has none."""

    n: int
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    auc: float | None = None
    brier: float | None = None
    ece: float | None = None
    coverage: float | None = None
    decided_accuracy: float | None = None


class _Figures(msgspec.Struct, frozen=True):
    cell: _OfCells


class _Of(msgspec.Struct, frozen=True):
    """Of the model or of the one that it was compared with."""

    model: Mapping[str, Any]
    other_days: _Figures | None = msgspec.field(name=OTHER_DAYS, default=None)
    original_test: _Figures | None = msgspec.field(name=ORIGINAL_TEST, default=None)

    def of_set(self, name: str) -> _Figures | None:
        return {OTHER_DAYS: self.other_days, ORIGINAL_TEST: self.original_test}[name]


class _Metrics(_Of, frozen=True, kw_only=True):
    evaluated_recordings: Mapping[str, str]
    controls: Mapping[str, Mapping[str, _Figures]] = {}
    baseline: _Of | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the card's table: who called which cells, and how well."""

    who: str
    cells: str
    figures: _OfCells


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What ``sero-evaluate`` has found."""

    metrics: _Metrics

    @property
    def sources(self) -> set[str]:
        """What made the recordings that were evaluated, and the model."""
        return {*self.metrics.evaluated_recordings.values(), str(self.metrics.model.get('source'))}

    def rows(self) -> Iterator[Row]:
        """Yields the rows of each set of test cells: the model, the one it was compared with, and the controls."""
        for name, title in _SET_TITLES.items():
            if figures := self.metrics.of_set(name):
                yield Row('**this model**', title, figures.cell)
                if self.metrics.baseline and (of_baseline := self.metrics.baseline.of_set(name)):
                    trained_on = self.metrics.baseline.model.get('trained_on')
                    yield Row(f'a model trained on {trained_on}', title, of_baseline.cell)
                controls = self.metrics.controls.get(name, {})
                yield from (
                    Row(TITLES[control], title, controls[control].cell) for control in TITLES if control in controls
                )

    def index_entries(self) -> Iterator[dict[str, object]]:
        """Yields the model's own results as the Hugging Face Hub reads them."""
        for name, title in _SET_TITLES.items():
            if figures := self.metrics.of_set(name):
                config, split = name.split('/')
                found = {kind: getattr(figures.cell, field) for field, kind in _INDEX_METRICS.items()}
                yield {
                    'task': {'type': 'tabular-classification', 'name': 'cells: serotonergic or not'},
                    'dataset': {'type': 'sero_spikes', 'name': title, 'config': config, 'split': split},
                    'metrics': [
                        {'type': kind, 'value': round(value, 4)} for kind, value in found.items() if value is not None
                    ],
                }


def read_evaluation(path: str, calibration: Calibration) -> Evaluation | None:
    """Reads ``metrics.json`` of a run.

    Parameters
    ----------
    path : of the file.
    calibration : the run's; an evaluation with another one is of another state of the run.

    Returns
    -------
    None if there is no such file.

    Raises
    ------
    ModelError
        If it is damaged, or of another state of the run.
    """
    if not os.path.exists(path):
        return None
    try:
        metrics = read_typed(path, _Metrics)
    except UserError as error:
        raise ModelError(str(error)) from None
    expected = json.loads(json.dumps(without_nan(dataclasses.asdict(calibration))))
    of_evaluation = metrics.model.get('calibration')
    if not isinstance(of_evaluation, dict) or any(of_evaluation.get(key) != expected[key] for key in expected):
        raise ModelError(f'{path}: is of another state of the run; give sero-evaluate the same command again')
    return Evaluation(metrics)
