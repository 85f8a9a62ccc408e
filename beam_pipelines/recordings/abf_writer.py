"""Writes one channel of current as an ABF1 file: the bytes that ``pyabf.abfWriter.writeABF1`` writes, but faster.

pyABF packs sample by sample in Python, which takes 2 s for a recording of 100 s. Here pyABF makes the header from a
one-sample signal with the same peak and so the same scale, and NumPy writes the samples. In one of several hundred
recordings a single sample differs, see `_TELEGRAPH_ENABLE`.
"""

import math
import struct
from pathlib import Path

import numpy as np
from pyabf import abfWriter

from beam_pipelines.recordings import abf_header

_BLOCK_BYTES = 512
_HEADER_BYTES = 4 * _BLOCK_BYTES

# Byte offsets of fields in the header of an ABF1 file.
_ACTUAL_ACQ_LENGTH = 10
_SAMPLES_PER_EPISODE = 138
_ADC_RANGE = 244
_ADC_RESOLUTION = 252
_INSTRUMENT_SCALE_FACTOR = 922
# The largest peak that fits with a scale factor of 1e-8, the smallest that pyABF's writer uses.
_MOST = 1e9
_LEAST_OF_PYABF = 0.1
_COUNTS_PER_UNIT = 10 * 32_767 / 32_768
# Readers (pyABF, neo) read a flag here; if it is 1, they divide the current by a gain stored further on. A full ABF1
# header has room for both, but pyABF writes a short one, so the readers find samples. If the sample here were a count
# of 1, they would return nonsense for the whole recording.
_TELEGRAPH_ENABLE = 4_512
_TELEGRAPH_ENABLE_SAMPLE = (_TELEGRAPH_ENABLE - _HEADER_BYTES) // 2


def write_abf(
    path: str | Path, current_pa: np.ndarray, sampling_rate_hz: float, comment: bytes = b'', unit: str = 'pA'
) -> np.ndarray:
    """Writes a recording of one sweep and one channel.

    Parameters
    ----------
    path : str or Path
        The file, which is replaced if it exists.
    current_pa : (n_samples,) array of float32 or float64
        The file holds 16-bit counts, truncated towards zero; a count is 0.0305 pA for a peak of 100 to 1000 pA.
    sampling_rate_hz : float
    comment : bytes
        The file comment, at most 56 bytes.
    unit : str
        The channel's unit, if not pA; the current is given in it.

    Returns
    -------
    (n_samples,) float32 array
        The current as a reader gets it back, in its unit.

    Raises
    ------
    ValueError
        If a value is not finite or too large for the format: nothing is written.
    """
    path = Path(path)
    peak_pa = np.max(np.abs(current_pa), keepdims=True)
    if not peak_pa < _MOST:
        raise ValueError(f'{path}: a peak of {float(peak_pa[0]):g} {unit} cannot be written')
    abfWriter.writeABF1(peak_pa[np.newaxis], str(path), sampling_rate_hz, unit)
    header = bytearray(path.read_bytes()[:_HEADER_BYTES])
    if 0 < peak_pa < _LEAST_OF_PYABF:
        # pyABF scales no further, and would leave few counts or none.
        scale_factor = 10.0 ** math.floor(math.log10(_COUNTS_PER_UNIT / float(peak_pa[0])))
        struct.pack_into('<16f', header, _INSTRUMENT_SCALE_FACTOR, *[scale_factor] * 16)
    struct.pack_into('<i', header, _ACTUAL_ACQ_LENGTH, current_pa.size)
    struct.pack_into('<i', header, _SAMPLES_PER_EPISODE, current_pa.size)
    struct.pack_into('56s', header, abf_header.COMMENT, comment)

    (adc_range,) = struct.unpack_from('<f', header, _ADC_RANGE)
    (adc_resolution,) = struct.unpack_from('<i', header, _ADC_RESOLUTION)
    (scale_factor,) = struct.unpack_from('<f', header, _INSTRUMENT_SCALE_FACTOR)
    # pyABF's writer uses the exact power of ten, not the float32 in the header.
    power_of_ten = 10.0 ** round(math.log10(scale_factor))
    counts = (current_pa * (adc_resolution / adc_range * power_of_ten)).astype('<i2')
    if counts.size > _TELEGRAPH_ENABLE_SAMPLE and counts[_TELEGRAPH_ENABLE_SAMPLE] == 1:
        counts[_TELEGRAPH_ENABLE_SAMPLE] = 0

    with open(path, 'wb') as file:
        file.write(header)
        file.write(counts.tobytes())
        # Like pyABF's writer: whole blocks, and one more if the samples fill the last one.
        file.write(bytes(_BLOCK_BYTES - counts.nbytes % _BLOCK_BYTES))
    return counts.astype(np.float32) * np.float32(1 / scale_factor * adc_range / adc_resolution)
