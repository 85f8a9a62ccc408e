"""Reads the currents of an NWB file through pynwb: each electrode, or each series without one, is a cell of its own."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, all_currents
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.nwb_promises import check_dataset, check_nwb_promises
from beam_pipelines.recordings.recording import RecordedCurrent, common_rate_hz, starts_with_gaps
from beam_pipelines.recordings.rejection import RecordingRejected, missing_library
from beam_pipelines.recordings.sources import MADE, RECORDED
from beam_pipelines.recordings.start_times import known_start

if TYPE_CHECKING:
    import pynwb

# Timestamps of an evenly sampled current differ from an even grid by less, as a share of the interval.
_MOST_UNEVEN = 0.01
_BLOCK_SAMPLES = 1 << 22
# How a time of ISO 8601 ends that has one, also if it is written without colons; a date alone ends alike.
_TIME_ZONE = re.compile(r'(:\d\d|T\d{4,6})([.,]\d+)?\s*(Z|[+-]\d\d(:?\d\d){0,2})\s*$')


def read_nwb_currents(path: str, channel: str | None = None) -> Iterator[RecordedCurrent | RecordingRejected]:
    """Reads the currents among the acquired series of an ``.nwb`` file, one after the other.

    The series of one electrode are the sweeps of one cell, in the order of their starts. Commands, which are stimuli,
    and processed copies are left out.

    Parameters
    ----------
    path : a local file.
    channel : name or number (from 0) of the one electrode or series to read; None: all that hold a current.

    Yields
    ------
    At least one current in pA; in place of one that cannot be used, why. The name of the only one is empty.

    Raises
    ------
    RecordingRejected
        If the file cannot be used, or pynwb is not installed.
    """
    try:
        import pynwb
    except ImportError:
        raise missing_library(path, 'pynwb') from None
    with library_errors('pynwb'), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Files of older versions of the standard are read all the same.
        check_nwb_promises(path)
        with pynwb.NWBHDF5IO(path, 'r', load_namespaces=True) as io:
            yield from _read(io, channel)


def _read(io: pynwb.NWBHDF5IO, wanted: str | None) -> Iterator[RecordedCurrent | RecordingRejected]:
    file = io.read()
    cells = _group_by_electrode(file)
    if not cells:
        raise RecordingRejected('wrong_unit', 'the file holds no acquired series')
    currents = all_currents([Channel(name, str(series[0].unit)) for name, series in cells], wanted)
    keywords = file.keywords[:] if file.keywords is not None else ()
    source = next((made.name for made in MADE if made.nwb_keyword in keywords), RECORDED)
    clock_began = _clock_began(io, file)
    for number, pa_per_unit in currents.items():
        name, sweeps = cells[number]
        try:
            _check_promises(sweeps)
            rate_hz = common_rate_hz([_rate_hz(series) for series in sweeps], 'sweeps')
            currents_pa = [_current_pa(series, pa_per_unit) for series in sweeps]
            starts_s = [_start_s(series) for series in sweeps]
        except RecordingRejected as error:
            yield RecordingRejected(error.reason, f'{name}: {error.detail}')
        else:
            yield RecordedCurrent(
                currents_pa,
                rate_hz,
                name if len(currents) > 1 else '',
                starts_with_gaps(starts_s, currents_pa, rate_hz),
                source,
                start_s=starts_s[0],
                started=_started(clock_began, starts_s[0]),
            )


def _group_by_electrode(file: pynwb.NWBFile) -> list[tuple[str, list[pynwb.TimeSeries]]]:
    """Returns the name and the series of each cell; a series without an electrode is a cell of its own."""
    import pynwb

    groups: dict[tuple[int, str], list[pynwb.TimeSeries]] = {}
    for series in sorted(file.acquisition.values(), key=lambda one: one.name):
        if isinstance(series, pynwb.TimeSeries):
            electrode = getattr(series, 'electrode', None)
            # An electrode may hold a current in one series and a potential in another.
            groups.setdefault((id(series if electrode is None else electrode), str(series.unit)), []).append(series)
    cells = []
    for of_group in groups.values():
        sweeps = sorted(of_group, key=_start_s)
        cells.append((sweeps[0].name if len(sweeps) == 1 else str(sweeps[0].electrode.name), sweeps))
    return sorted(cells, key=lambda cell: cell[0])


def _start_s(series: pynwb.TimeSeries) -> float:
    if series.rate is not None:
        return float(series.starting_time or 0.0)
    check_dataset(series.name, series.timestamps)
    return float(series.timestamps[0]) if len(series.timestamps) else 0.0


def _clock_began(io: pynwb.NWBHDF5IO, file: pynwb.NWBFile) -> datetime.datetime | None:
    """Returns the time from which the clock of a file counts: local if the file has no time zone; None if not known."""
    began = file.timestamps_reference_time
    written = io.manager.get_builder(file)['timestamps_reference_time'].data
    if not _TIME_ZONE.search(written.decode() if isinstance(written, bytes) else written):
        began = began.replace(tzinfo=None)  # pynwb puts the time zone of this machine in its place.
    return known_start(began)


def _started(clock_began: datetime.datetime | None, start_s: float) -> datetime.datetime | None:
    """Returns when a sweep started, by its start on the clock of the file; None if not known."""
    try:
        return clock_began and clock_began + datetime.timedelta(seconds=start_s)
    except (OverflowError, ValueError):  # The clock does not count seconds, or has no number.
        return None


def _check_promises(sweeps: Sequence[pynwb.TimeSeries]) -> None:
    check_sweeps(len(sweeps))
    for series in sweeps:
        for dataset in (series.data, series.timestamps):
            if dataset is not None:
                check_dataset(series.name, dataset)
    check_samples(sum(series.data.size for series in sweeps))


def _current_pa(series: pynwb.TimeSeries, pa_per_unit: float) -> np.ndarray:
    """Returns the current, (n,) float32 in pA, if it is one that the file really holds."""
    data: Any = series.data
    if data.dtype.kind not in 'fiu' or not (data.ndim == 1 or (data.ndim == 2 and data.shape[1] == 1)) or not data.size:
        raise RecordingRejected('wrong_unit', f'{data.dtype} of shape {data.shape} is not one current')
    current_pa = np.empty(len(data), np.float32)
    for first in range(0, len(data), _BLOCK_SAMPLES):
        block = data[first : first + _BLOCK_SAMPLES].reshape(-1).astype(np.float64)
        with np.errstate(all='ignore'):  # What overflows becomes infinite and is rejected later.
            current_pa[first : first + len(block)] = (block * series.conversion + series.offset) * pa_per_unit
    return current_pa


def _rate_hz(series: pynwb.TimeSeries) -> float:
    if series.rate is not None:
        return float(series.rate)
    times: Any = series.timestamps
    if len(times) != len(series.data) or len(times) < 2:
        raise RecordingRejected('bad_header', f'there are {len(times)} times for {len(series.data)} samples')
    count = len(times)
    usual = (float(times[count - 1]) - float(times[0])) / (count - 1)
    if not usual > 0 or not _are_even(times, usual):
        raise RecordingRejected('wrong_rate', 'the samples are not evenly spaced')
    return 1 / usual


def _are_even(times: Any, interval_s: float) -> bool:
    for first in range(0, len(times) - 1, _BLOCK_SAMPLES):
        intervals = np.diff(np.asarray(times[first : first + _BLOCK_SAMPLES + 1], np.float64))
        if not np.abs(intervals - interval_s).max() <= _MOST_UNEVEN * interval_s:
            return False
    return True
