"""Reads the published single-spike files ``CELL/CELL_trigger_N.csv``: a header line, 160 rows of time and current."""

from __future__ import annotations

import os
import re
import unicodedata

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.regular_files import regular_size
from beam_pipelines.recordings.rejection import RecordingRejected

_FILE_NAME = re.compile(r'(?P<cell>.+)_trigger_(?P<trigger>\d+)\.csv', re.IGNORECASE)
_LIKE_FILE_NAME = re.compile(r'_trig.*\.csv$', re.IGNORECASE)

# A spike file has about 4 kB; a far larger file is something else.
_MAX_BYTES = 64 * 1024

# Steps of the time column, as shares of the usual one: it may be rounded, but no row may be missing or twice.
_LEAST_STEP, _MOST_STEP = 0.5, 1.5


def is_spike_csv(path: str) -> bool:
    """Whether a file is a spike CSV by its name, ``CELL_trigger_N.csv``."""
    return _FILE_NAME.fullmatch(os.path.basename(path)) is not None


def is_misnamed_spike_csv(path: str) -> bool:
    """Whether a file's name is like that of a spike CSV, as a copy's is: ``CELL_trigger_5 (1).csv``."""
    return _LIKE_FILE_NAME.search(os.path.basename(path)) is not None and not is_spike_csv(path)


def parse_file_name(name: str, cell_id: str) -> int:
    """Returns the trigger sample in a spike file's name.

    Raises
    ------
    RecordingRejected
        If the name is not ``CELL_trigger_N.csv``, where CELL is its folder.
    """
    match = _FILE_NAME.fullmatch(name)
    if not match or unicodedata.normalize('NFC', match['cell']) != unicodedata.normalize('NFC', cell_id):
        raise RecordingRejected('bad_name', f'expected {cell_id}_trigger_N.csv in the folder {cell_id}')
    trigger = int(match['trigger'])
    if trigger > domain.MAX_TRIGGER:
        raise RecordingRejected('bad_name', f'trigger {trigger} is beyond {domain.MAX_TRIGGER}')
    return trigger


def read_spike_csv(path: str) -> np.ndarray:
    """Reads one spike.

    Parameters
    ----------
    path : a local CSV file: a header line, then 160 rows in the order of time, whose last two columns are time in s and
        current in pA. One column before them, such as a row number, is allowed.

    Returns
    -------
    (160,) float32, current in pA.

    Raises
    ------
    RecordingRejected
        If it is not such a file.
    """
    try:
        size = regular_size(path)
        if size > _MAX_BYTES:
            raise RecordingRejected('bad_csv', f'{size} bytes are too many for one spike')
        with open(path, encoding='utf-8') as file:
            rows = file.read().splitlines()[1:]
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except UnicodeDecodeError:
        raise RecordingRejected('bad_csv', 'the file is not text') from None
    rows = [row for row in rows if row.strip()]
    if len(rows) != domain.SPIKE_SAMPLES:
        raise RecordingRejected('bad_csv', f'{len(rows)} rows, expected {domain.SPIKE_SAMPLES}')
    cells = [row.split(',') for row in rows]
    columns = {len(row) for row in cells}
    if not columns <= {2} and not columns <= {3}:
        raise RecordingRejected('bad_csv', f'{sorted(columns)} columns, expected 2: time in s, current in pA')
    try:
        table = np.array([row[-2:] for row in cells], np.float64)
    except ValueError as error:
        raise RecordingRejected('bad_csv', str(error)) from None
    with np.errstate(over='ignore'):
        current_pa = table[:, 1].astype(np.float32)  # A value that overflows becomes infinite and is rejected below.
    if not np.isfinite(table).all() or not np.isfinite(current_pa).all():
        raise RecordingRejected('not_finite', 'a value is not a finite number')
    _check_order(table[:, 0])
    _check_rate(table[:, 0])
    return current_pa


def _check_order(time_s: np.ndarray) -> None:
    steps = np.diff(time_s)
    if np.median(steps) == 0:  # the time is rounded to more than a sample; its steps must still be even
        steps = np.where(steps == 0, np.median(steps[steps != 0]) if steps.any() else 0, steps)
    usual = np.median(steps)
    uneven = np.flatnonzero((steps < _LEAST_STEP * usual) | (steps > _MOST_STEP * usual))
    if len(uneven):
        row = int(uneven[0])
        raise RecordingRejected(
            'bad_csv',
            f'the time goes from {time_s[row]:.6f} s in row {row + 1} to {time_s[row + 1]:.6f} s in the next, expected'
            f' to rise by {1 / domain.SAMPLING_RATE_HZ:.6f} s a row: rows are missing, or not in order of time',
        )


def _check_rate(time_s: np.ndarray) -> None:
    span_s = time_s[-1] - time_s[0]
    expected_s = (domain.SPIKE_SAMPLES - 1) / domain.SAMPLING_RATE_HZ
    if abs(span_s - expected_s) > 0.01 * expected_s:
        rate_hz = (domain.SPIKE_SAMPLES - 1) / span_s if span_s > 0 else 0
        raise RecordingRejected(
            'wrong_rate', f'the time column runs at {rate_hz:.0f} Hz, expected {domain.SAMPLING_RATE_HZ} Hz'
        )
