"""Reads the current of an Igor Pro binary wave through igor2."""

from __future__ import annotations

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, choose_currents
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected, missing_library

_SECONDS_PER_UNIT = {'s': 1.0, 'ms': 1e-3}


def read_igor_currents(path: str, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads the current in an ``.ibw`` file: one sweep, or a column for each sweep.

    Parameters
    ----------
    path : a local file.
    channel : see ``current_channels.choose_currents``; the file has one channel, with the name of the wave.

    Returns
    -------
    One current, in pA. The sweeps' starts are not in the file.

    Raises
    ------
    RecordingRejected
        If the file cannot be used, or igor2 is not installed.
    """
    try:
        from igor2 import binarywave
    except ImportError:
        raise missing_library(path, 'igor2', 'formats') from None
    try:
        wave = binarywave.load(path)['wave']
        values, header = wave['wData'], wave['wave_header']
        # Versions 1 to 3 have one axis, with other names.
        interval, unit_of_time = (
            (header['sfA'][0], header['dimUnits'][0]) if 'sfA' in header else (header['hsA'], header['xUnits'])
        )
        name = header['bname'].decode('utf-8', errors='replace').strip('\0 ')
        channels = [Channel(name, _text(header['dataUnits']))]
    except MemoryError:
        raise
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except Exception as error:  # A damaged header can make igor2 raise anything.
        raise RecordingRejected('unreadable', f'igor2: {type(error).__name__}: {error}') from error
    if values.dtype.kind not in 'fiu' or values.ndim not in (1, 2) or not values.size:
        raise RecordingRejected('bad_header', f'the wave holds {values.dtype} of shape {values.shape}, no current')
    ((_, pa_per_unit),) = choose_currents(channels, channel).items()
    sweeps = np.ascontiguousarray(values.reshape(len(values), -1).T)
    in_pa = [(sweep * pa_per_unit).astype(np.float32) for sweep in sweeps]
    return [RecordedCurrent(in_pa, _rate_hz(float(interval), _text(unit_of_time)), name)]


def _rate_hz(interval: float, unit: str) -> float:
    # Waves without a unit on their axis are in s, Igor's default.
    seconds = interval * _SECONDS_PER_UNIT.get(unit or 's', np.nan)
    if not seconds > 0:
        raise RecordingRejected(
            'bad_header', f'samples are {interval:g} {unit or "s"} apart; expected a time in s or ms: SetScale/P x'
        )
    return 1 / seconds


def _text(field: bytes | np.ndarray) -> str:
    """Returns a unit, which igor2 gives as bytes or as an array of single bytes."""
    content = field if isinstance(field, bytes) else b''.join(np.atleast_1d(field).tolist())
    return content.split(b'\0')[0].decode('utf-8', errors='replace').strip()
