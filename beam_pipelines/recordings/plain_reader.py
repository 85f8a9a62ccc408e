"""Reads a current from a plain ``.csv`` or ``.npy`` file."""

from __future__ import annotations

import warnings

import numpy as np

from beam_pipelines.recordings.npy_file import map_npy
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected

PLAIN_SUFFIXES = ('.csv', '.npy')

# Times of an evenly sampled current, written with few digits, differ from an even grid by less, in intervals.
_MOST_UNEVEN = 0.6
_LEAST_ROWS = 2


def read_plain_current(path: str, sampling_rate_hz: float | None) -> RecordedCurrent:
    """Reads the current in a ``.csv`` or ``.npy`` file.

    Parameters
    ----------
    path : a local file. ``.npy``: (n,) numbers in pA. ``.csv``: a column of currents in pA, or two columns of time in s
        and current in pA, after at most one line of titles.
    sampling_rate_hz : the rate; None: from the column of times.

    Raises
    ------
    RecordingRejected
        If it is not such a file, or its rate is not known.
    """
    if path.lower().endswith('.npy'):
        current_pa, rate_hz = _read_npy(path), None
    else:
        current_pa, rate_hz = _read_csv(path)
    if sampling_rate_hz is None and rate_hz is None:
        raise RecordingRejected(
            'wrong_rate', 'the file does not say at which rate it was sampled; name it with --sampling_rate_hz'
        )
    if sampling_rate_hz is not None and rate_hz is not None and abs(rate_hz / sampling_rate_hz - 1) > 0.01:
        raise RecordingRejected(
            'wrong_rate', f'the column of times runs at {rate_hz:.6g} Hz, --sampling_rate_hz is {sampling_rate_hz:.6g}'
        )
    return RecordedCurrent([current_pa], float(sampling_rate_hz if sampling_rate_hz is not None else rate_hz or 0))


def _read_npy(path: str) -> np.ndarray:
    array = map_npy(path)
    if array.ndim != 1 or array.dtype.kind not in 'fiu' or not len(array):
        raise RecordingRejected('bad_array', f'{array.dtype} of shape {array.shape}; expected (n,) numbers in pA')
    with np.errstate(over='ignore'):  # A value that overflows becomes infinite and is rejected later.
        return np.array(array, np.float32)


def _read_csv(path: str) -> tuple[np.ndarray, float | None]:
    """Returns (n,) float32 in pA, and the rate of the column of times, if there is one."""
    try:
        with open(path, encoding='utf-8') as file:
            titles = 0 if _is_numbers(file.readline(4096)) else 1
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # An empty file is rejected below.
            table = np.loadtxt(
                path, np.float64, delimiter=',', skiprows=titles, ndmin=2, comments=None, encoding='utf-8'
            )
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except UnicodeDecodeError:
        raise RecordingRejected('bad_csv', 'the file is not text') from None
    except ValueError as error:
        raise RecordingRejected('bad_csv', str(error)) from None
    if len(table) < _LEAST_ROWS or table.shape[1] not in (1, 2):
        raise RecordingRejected(
            'bad_csv',
            f'{len(table)} rows of {table.shape[1]} columns; expected current in pA, or time in s and current in pA',
        )
    with np.errstate(over='ignore'):
        current_pa = table[:, -1].astype(np.float32)
    return current_pa, _rate_hz(table[:, 0]) if table.shape[1] > 1 else None


def _rate_hz(time_s: np.ndarray) -> float:
    interval_s = (time_s[-1] - time_s[0]) / (len(time_s) - 1)
    even = time_s[0] + interval_s * np.arange(len(time_s))
    if not interval_s > 0 or not np.abs(time_s - even).max() <= _MOST_UNEVEN * interval_s:
        raise RecordingRejected('bad_csv', 'the column of times does not ascend evenly')
    return 1 / interval_s


def _is_numbers(line: str) -> bool:
    try:
        list(map(float, line.split(',')))
    except ValueError:
        return False
    return True
