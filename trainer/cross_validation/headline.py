"""The figures of a cross-validation that another one shows beside its own, out of ``metrics.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from beam_pipelines.errors import UserError
from beam_pipelines.storage.typed_json import check_content, parse_json

FOLDER = 'cross_validation'
METRICS_FILE = 'metrics.json'


class _Spike(msgspec.Struct, frozen=True):
    accuracy: float
    n: int
    auc: float | None


class _Cell(msgspec.Struct, frozen=True):
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    n: int
    coverage: float | UnsetType = UNSET
    decided_accuracy: float | None | UnsetType = UNSET


class _Figures(msgspec.Struct, frozen=True):
    spike: _Spike
    cell: _Cell


class _Controls(msgspec.Struct, frozen=True):
    controls: Mapping[str, Mapping[str, _Figures]] = {}


def name_result(division: str) -> str:
    """Returns what the result of a division is called in files, such as ``original/cross_validation_day``."""
    return f'original/cross_validation_{division}'


def read_headline(workdir: str, division: str) -> dict[str, Any] | None:
    """Returns the figures of a cross-validation: ``{'spike': {...}, 'cell': {...}, 'controls': {...}}``.

    One of version 0.1.0 has no controls.

    Parameters
    ----------
    workdir : of the cross-validation.
    division : ``day`` or ``spike``.

    Returns
    -------
    None if the file is missing or damaged, or a figure is.
    """
    path, name = os.path.join(workdir, FOLDER, division, METRICS_FILE), name_result(division)
    try:
        content = parse_json(path)
        of_name = content.get(name) if isinstance(content, dict) else None
        figures = check_content(of_name, _Figures, path)
        controls = check_content(content, _Controls, path).controls.get(name, {})
    except (OSError, UserError):
        return None
    return msgspec.to_builtins(figures) | {'controls': msgspec.to_builtins(controls)}
