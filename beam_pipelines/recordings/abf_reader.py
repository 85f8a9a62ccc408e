"""Reads the current of an ABF1 or ABF2 recording through pyABF."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.abf_header import StoredSamples, check_abf_header, read_source, read_start_time
from beam_pipelines.recordings.abf_stimulus import find_stimulus_steps
from beam_pipelines.recordings.current_channels import channel_of_header, choose_currents
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.neo_reader import read_float_abf1
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected

if TYPE_CHECKING:
    import pyabf

_VARIABLE_LENGTH_MODE = 1

# A shorter pause between sweeps, as a share of a sweep, is a rounding error.
_LEAST_GAP = 1e-4


def read_abf_currents(path: str, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads the currents in a file.

    Parameters
    ----------
    path : a local ``.abf`` file.
    channel : see ``current_channels.choose_currents``.

    Returns
    -------
    At least one; its current is in pA, whatever the SI prefix of the channel's unit.

    Raises
    ------
    RecordingRejected
        If the file cannot be used; gives the reason.
    """
    import pyabf  # Imported here because it takes as long as a short command.

    stored = check_abf_header(path)
    source, started = read_source(path), read_start_time(path)
    if stored.is_abf1 and stored.dtype.kind == 'f':
        return [dataclasses.replace(current, started=started) for current in read_float_abf1(path, channel)]
    with library_errors('pyABF'):
        # The header alone: with the samples, pyABF would lay out the stimulus of every sweep.
        abf = pyabf.ABF(path, loadData=False)
        channels = list(map(channel_of_header, abf.adcNames, abf.adcUnits))
    chosen = choose_currents(channels, channel)
    lengths = _sweep_lengths(abf, stored)
    raw = _read_samples(path, stored, len(channels))
    steps = find_stimulus_steps(abf)
    # pyABF truncates it: an interval that is a rounding error above 25 us gives 39999 Hz.
    rate_hz = domain.SAMPLING_RATE_HZ if abf.dataRate == domain.SAMPLING_RATE_HZ - 1 else abf.dataRate
    currents = []
    for number, pa_per_unit in chosen.items():
        current_pa = _in_pa(_scale(raw[:, number], abf._dataGain[number], abf._dataOffset[number]), pa_per_unit)
        sweeps = np.split(current_pa, np.cumsum(lengths)[:-1])
        name = channels[number].name or str(number)
        starts_s = _starts_s(abf, sweeps)
        currents.append(RecordedCurrent(sweeps, rate_hz, name, starts_s, source, steps, started=started))
    return currents


def _read_samples(path: str, stored: StoredSamples, channels: int) -> np.ndarray:
    """Returns the samples as they are stored, (n, channels).

    pyABF's own reading takes the points that an ABF1 header ignores for bytes, and a sample count for 32 bits.
    """
    raw = np.fromfile(path, stored.dtype, stored.count, offset=stored.start)
    if len(raw) < stored.count:
        raise RecordingRejected('truncated', f'the header promises {stored.count} samples, the file holds {len(raw)}')
    return raw.reshape(-1, channels)


def _scale(raw: np.ndarray, gain: float, offset: float) -> np.ndarray:
    """Returns a channel in its unit, (n,) float32, by the same arithmetic as pyABF's."""
    values = raw.astype(np.float32)
    if raw.dtype.kind == 'i':
        with np.errstate(all='ignore'):  # What overflows becomes infinite and is rejected later.
            values *= gain
            values += offset
    return values


def _sweep_lengths(abf: pyabf.ABF, stored: StoredSamples) -> list[int]:
    """Returns how many samples of a channel each sweep has."""
    channels, sweeps = abf.channelCount, abf.sweepCount
    if abf.nOperationMode == _VARIABLE_LENGTH_MODE and sweeps > 1:
        in_all = abf._synchArraySection.lLength
        if len(in_all) != sweeps:
            raise RecordingRejected(
                'bad_header', f'the header promises {sweeps} sweeps, and has the lengths of {len(in_all)}'
            )
        if min(in_all) <= 0:
            raise RecordingRejected('bad_header', f'the header promises a sweep of {min(in_all)} samples')
        lengths = [length // channels for length in in_all]
    else:
        lengths = [stored.count // channels // sweeps] * sweeps
    if sum(lengths) * channels != stored.count:
        raise RecordingRejected(
            'bad_header',
            f'{sweeps} sweeps of {channels} channels hold {sum(lengths) * channels} of {stored.count} samples',
        )
    return lengths


def _starts_s(abf: pyabf.ABF, sweeps: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Returns when each sweep started; nothing if the sweeps follow each other, or the file does not say."""
    length_s = max(map(len, sweeps), default=0) / abf.dataRate
    if len(sweeps) < 2 or not abf.sweepIntervalSec > length_s * (1 + _LEAST_GAP):
        return ()
    return tuple(float(abf.sweepIntervalSec * number) for number in range(len(sweeps)))


def _in_pa(sweep: np.ndarray, pa_per_unit: float) -> np.ndarray:
    with np.errstate(all='ignore'):  # What overflows becomes infinite and is rejected later.
        return sweep if pa_per_unit == 1 else (sweep * pa_per_unit).astype(np.float32)
