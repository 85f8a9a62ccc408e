"""Reads a current from a plain ``.csv`` or ``.npy`` file."""

from __future__ import annotations

import re
import warnings

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, all_currents
from beam_pipelines.recordings.limits import check_samples
from beam_pipelines.recordings.npy_file import map_npy
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.regular_files import open_regular
from beam_pipelines.recordings.rejection import RecordingRejected

PLAIN_SUFFIXES = ('.csv', '.npy')

# Shorter currents are single spikes, cut from a recording and named in another way.
_LEAST_SECONDS = 0.5
# Times of an evenly sampled current, written with few digits, differ from an even grid by less, in intervals.
_MOST_UNEVEN = 0.6
_LEAST_ROWS = 2
# Ten minutes at 40 kHz. Text takes much more time and memory than numbers.
_MOST_ROWS = 24_000_000
_MOST_LINE_BYTES = 4096
_BLOCK_BYTES = 1 << 20
# A column of times that runs so much slower than 40 kHz is in ms, or counts the rows.
_SLOW_HZ = 100

_UNIT = re.compile(r'[(\[]\s*([^()\[\]]+?)\s*[)\]]\s*$')


def read_plain_current(path: str, options: ReadingOptions) -> RecordedCurrent:
    """Reads the current in a ``.csv`` or ``.npy`` file.

    Parameters
    ----------
    path : a local file. ``.npy``: (n,) numbers in pA. ``.csv``: a column of currents, or two columns of time in s and
        current, after at most one line of titles. The current is in pA, or in the unit in brackets in its title.
    options : its ``sampling_rate_hz`` is the rate; None: from the column of times.

    Raises
    ------
    RecordingRejected
        If it is not such a file, or its rate is not known.
    """
    if options.channel is not None:
        raise RecordingRejected('wrong_channel', f'no channel {options.channel}; a plain file has one current, unnamed')
    rate_hz, given_hz, title = None, options.sampling_rate_hz, ''
    if path.lower().endswith('.npy'):
        current_pa = _read_npy(path)
    else:
        current_pa, rate_hz, title = _read_csv(path, given_hz is not None)
    if given_hz is None and rate_hz is None:
        raise RecordingRejected(
            'wrong_rate', 'the file does not say at which rate it was sampled; name it with --sampling_rate_hz'
        )
    if given_hz is not None and rate_hz is not None and abs(rate_hz / given_hz - 1) > 0.01:
        raise RecordingRejected(
            'wrong_rate', f'the column of times runs at {rate_hz:.6g} Hz, --sampling_rate_hz is {given_hz:.6g}'
        )
    used_hz = float(given_hz if given_hz is not None else rate_hz or 0)
    if len(current_pa) < _LEAST_SECONDS * used_hz:
        raise RecordingRejected(
            'bad_csv' if rate_hz or path.lower().endswith('.csv') else 'bad_array',
            f'{len(current_pa)} samples are {1e3 * len(current_pa) / used_hz:.3g} ms, and no recording; a spike is a'
            ' file CELL/CELL_trigger_N.csv',
        )
    return RecordedCurrent([current_pa], used_hz, title)


def _read_npy(path: str) -> np.ndarray:
    array = map_npy(path)
    check_samples(array.size)
    if array.ndim != 1 or array.dtype.kind not in 'fiu' or not len(array):
        raise RecordingRejected('bad_array', f'{array.dtype} of shape {array.shape}; expected (n,) numbers in pA')
    with np.errstate(over='ignore'):  # A value that overflows becomes infinite and is rejected later.
        return np.array(array, np.float32)


def _read_csv(path: str, is_rate_given: bool) -> tuple[np.ndarray, float | None, str]:
    """Returns (n,) float32 in pA, the rate of the column of times if there is one, and the title of the current."""
    try:
        _check_rows(path)
        with open(path, encoding='utf-8-sig') as file:
            first = file.readline(_MOST_LINE_BYTES)
        titles = 0 if _begins_with_numbers(first) else 1
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # An empty file is rejected below.
            table = np.loadtxt(
                path, np.float64, delimiter=',', skiprows=titles, ndmin=2, comments=None, encoding='utf-8-sig'
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
    title = first.strip().split(',')[-1].strip(' "') if titles else ''
    with np.errstate(over='ignore'):
        current_pa = (table[:, -1] * _pa_per_unit(title)).astype(np.float32)
    return current_pa, _rate_hz(table[:, 0], is_rate_given) if table.shape[1] > 1 else None, title


def _check_rows(path: str) -> None:
    """Rejects a file with more rows than can be read, or with rows that are no numbers, before it is read."""
    rows = 0
    with open_regular(path) as file:
        while block := file.read(_BLOCK_BYTES):
            in_block = block.count(b'\n') + block.count(b'\r')
            if len(block) > _MOST_LINE_BYTES * (in_block + 1):
                raise RecordingRejected('bad_csv', f'lines of more than {_MOST_LINE_BYTES} bytes')
            rows += in_block
            if rows > _MOST_ROWS:
                raise RecordingRejected('too_long', f'more than {_MOST_ROWS} rows; save the current as .npy')


def _pa_per_unit(title: str) -> float:
    """Returns the factor to pA of the unit in brackets at the end of a title; pA without one."""
    unit = _UNIT.search(title)
    return all_currents([Channel(title, unit[1])], None)[0] if unit else 1.0


def _rate_hz(time_s: np.ndarray, is_rate_given: bool) -> float:
    interval_s = (time_s[-1] - time_s[0]) / (len(time_s) - 1)
    even = time_s[0] + interval_s * np.arange(len(time_s))
    # Where the rate is given, the times may be rounded to more than an interval.
    is_even = (
        (np.diff(time_s) >= 0).all() if is_rate_given else np.abs(time_s - even).max() <= _MOST_UNEVEN * interval_s
    )
    if not interval_s > 0 or not is_even:
        raise RecordingRejected('bad_csv', 'the column of times does not ascend evenly')
    if 1 / interval_s <= _SLOW_HZ:
        raise RecordingRejected(
            'wrong_rate', f'the first column runs at {1 / interval_s:.4g} Hz: it is not a time in s, but perhaps in ms'
        )
    return 1 / interval_s


def _begins_with_numbers(line: str) -> bool:
    """Whether a line is a row of the table, perhaps a spoiled one: one of its fields begins like a number."""
    return any(re.match(r'\s*"?[-+.]?\d', field) for field in line.split(','))
