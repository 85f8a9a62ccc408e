"""Reads the current of an Igor Pro binary wave through igor2."""

from __future__ import annotations

import os
import struct

import numpy as np

from beam_pipelines.recordings.current_channels import channel_of_header, choose_currents
from beam_pipelines.recordings.library_errors import library_errors, silenced
from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected, missing_library

# Where the header of each version has the sizes of the file's parts, without its version and checksum.
_SIZES_IN_HEADER = {1: '2xi', 2: '2xii', 3: '2xiii', 5: '4x14i'}
_HEADER_BYTES = 64

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
        raise missing_library(path, 'igor2') from None
    with library_errors('igor2'), np.errstate(all='ignore'):  # What overflows is rejected later.
        _check_size(path)
        with silenced('igor2'):  # It logs the bytes that it cannot make sense of.
            wave = binarywave.load(path)['wave']
        values, header = wave['wData'], wave['wave_header']
        # Versions 1 to 3 have one axis, with other names.
        interval, unit_of_time = (
            (header['sfA'][0], header['dimUnits'][0]) if 'sfA' in header else (header['hsA'], header['xUnits'])
        )
        named = channel_of_header(_text(header['bname']), _text(header['dataUnits']))
    if values.dtype.kind not in 'fiu' or values.ndim not in (1, 2) or not values.size:
        raise RecordingRejected('bad_header', f'the wave holds {values.dtype} of shape {values.shape}, no current')
    ((_, pa_per_unit),) = choose_currents([named], channel).items()
    sweeps = np.ascontiguousarray(values.reshape(len(values), -1).T)
    check_sweeps(len(sweeps))
    check_samples(values.size)
    with np.errstate(all='ignore'):  # What overflows becomes infinite and is rejected later.
        in_pa = [(sweep * pa_per_unit).astype(np.float32) for sweep in sweeps]
    return [RecordedCurrent(in_pa, _rate_hz(float(interval), _text(unit_of_time)), named.name)]


def _check_size(path: str) -> None:
    """Rejects a file whose header promises more than it holds: igor2 would fill the memory."""
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < 2:
        raise RecordingRejected('truncated', f'{size} bytes are less than a header')
    # The version is small, so its zero byte tells the order of bytes.
    order = '>' if header[0] == 0 else '<'
    (version,) = struct.unpack_from(f'{order}h', header)
    sizes = _SIZES_IN_HEADER.get(version)
    if sizes is None or len(header) < struct.calcsize(f'{order}{sizes}'):
        raise RecordingRejected('bad_header', f'no Igor wave of version 1, 2, 3 or 5: {version}, {size} bytes')
    promised = struct.unpack_from(f'{order}{sizes}', header)
    if min(promised) < 0 or sum(promised) > size:
        raise RecordingRejected('truncated', f'the header promises {sum(promised)} bytes, the file has {size}')


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
