"""Reads the currents of an NWB file through pynwb: each current series is a cell of its own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, choose_currents
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected, missing_library
from beam_pipelines.recordings.sources import MADE, RECORDED

if TYPE_CHECKING:
    import pynwb

# HDF5's strongest usual compression of anything; more is a promise that the file does not hold.
_MOST_COMPRESSION = 1100
# Timestamps of an evenly sampled current differ from an even grid by less, as a share of the interval.
_MOST_UNEVEN = 0.01


def read_nwb_currents(path: str, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads the recorded currents in an ``.nwb`` file; commanded ones, among the stimuli, are left out.

    Parameters
    ----------
    path : a local file.
    channel : name or number (from 0) of the one series to read; None: all that hold a current.

    Returns
    -------
    At least one, in pA.

    Raises
    ------
    RecordingRejected
        If the file cannot be used, or pynwb is not installed.
    """
    try:
        import pynwb
    except ImportError:
        raise missing_library(path, 'pynwb', 'formats') from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # Files of older versions of the standard are read all the same.
            with pynwb.NWBHDF5IO(path, 'r', load_namespaces=True) as io:
                return _read(io.read(), channel)
    except (RecordingRejected, MemoryError):
        raise
    except Exception as error:  # A damaged file can make HDF5 and pynwb raise anything.
        raise RecordingRejected('unreadable', f'pynwb: {type(error).__name__}: {error}') from error


def _read(file: pynwb.NWBFile, wanted: str | None) -> list[RecordedCurrent]:
    import pynwb

    commanded = {id(series) for series in (*file.stimulus.values(), *file.stimulus_template.values())}
    every = [series for series in file.objects.values() if isinstance(series, pynwb.TimeSeries)]
    recorded = sorted((series for series in every if id(series) not in commanded), key=lambda series: series.name)
    if not recorded:
        raise RecordingRejected('wrong_unit', 'the file holds no recorded series')
    keywords = file.keywords[:] if file.keywords is not None else ()
    source = next((made.name for made in MADE if made.nwb_keyword in keywords), RECORDED)
    currents = []
    for number, pa_per_unit in choose_currents([Channel(of.name, str(of.unit)) for of in recorded], wanted).items():
        series = recorded[number]
        current_pa = (_samples(series) * (series.conversion * pa_per_unit) + series.offset * pa_per_unit).astype(
            np.float32
        )
        currents.append(RecordedCurrent([current_pa], _rate_hz(series), series.name, source=source))
    return currents


def _samples(series: pynwb.TimeSeries) -> np.ndarray:
    """Returns the stored numbers, (n,) float64, if they are one current that the file really holds."""
    data: Any = series.data
    if data.dtype.kind not in 'fiu' or not (data.ndim == 1 or (data.ndim == 2 and data.shape[1] == 1)) or not data.size:
        raise RecordingRejected('wrong_unit', f'{series.name} is {data.dtype} of shape {data.shape}, not one current')
    if data.external:
        raise RecordingRejected('unreadable', f'{series.name} lies in other files')
    promised, stored = data.size * data.dtype.itemsize, data.id.get_storage_size()
    if promised > _MOST_COMPRESSION * stored:
        raise RecordingRejected('truncated', f'{series.name} promises {promised} bytes, the file holds {stored}')
    return data[:].reshape(-1).astype(np.float64)


def _rate_hz(series: pynwb.TimeSeries) -> float:
    if series.rate is not None:
        return float(series.rate)
    times_s = np.asarray(series.timestamps[:], np.float64)
    intervals = np.diff(times_s)
    if len(times_s) != len(series.data) or len(intervals) < 1 or not np.isfinite(times_s).all():
        raise RecordingRejected('bad_header', f'{series.name} has {len(times_s)} times for {len(series.data)} samples')
    usual = (times_s[-1] - times_s[0]) / len(intervals)
    if not usual > 0 or np.abs(intervals - usual).max() > _MOST_UNEVEN * usual:
        raise RecordingRejected('wrong_rate', f'{series.name} is not sampled evenly')
    return 1 / usual
