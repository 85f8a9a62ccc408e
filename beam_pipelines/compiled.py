"""Makes rows of synthetic records in one compiled pass: gather, weigh, add, encode, CRC.

The same bytes as ``synthesis`` and ``record_layout`` make with NumPy, several times as fast; for builds that are large
enough to be worth the second that numba takes to load and compile. It needs numba (the extra ``fast``) and a processor
with the CRC-32C instruction of SSE 4.2.
"""

from __future__ import annotations

import functools
import importlib.util
import platform

import numpy as np

from beam_pipelines import record_layout
from beam_pipelines.synthesis import Draws

_HEADER_WORDS = 3
_WAVEFORM_WORD = record_layout.WAVEFORM_OFFSET // 4
_CRC_WORD = record_layout.RECORD_BYTES // 4 - 1
_MASK_FIELD = record_layout.RECORD_DTYPE.fields['mask']
_MASK_BYTE, _MASK_BYTES = _MASK_FIELD[1], _MASK_FIELD[0].itemsize


@functools.cache
def is_available() -> bool:
    """Whether rows can be made by compiled code on this machine."""
    if platform.machine() not in ('x86_64', 'AMD64') or importlib.util.find_spec('numba') is None:
        return False
    from llvmlite import binding

    return binding.get_host_cpu_features().get('sse4.2', False)


class RowMaker:
    """Makes rows of synthetic records.

    Parameters
    ----------
    smoothed : (s, 160) float32, smoothed spikes in pA.
    noise_masks : (m, 160) float32, noise in pA.
    label, cell, trigger : (s,) integers, what the records of each spike say.
    """

    def __init__(self, smoothed: np.ndarray, noise_masks: np.ndarray, label, cell, trigger):
        # All that a record holds before its waveform, but for the number of its mask, is the same for a spike.
        records = record_layout.encode_records(smoothed, label, cell, trigger, np.zeros(len(smoothed), np.int64))
        self._prefixes = np.ascontiguousarray(records[:, : record_layout.WAVEFORM_OFFSET]).view(np.uint32)
        self._smoothed = np.ascontiguousarray(smoothed, np.float32)
        self._noise_masks = np.ascontiguousarray(noise_masks, np.float32)

    def make(self, draws: Draws, rows: np.ndarray) -> None:
        """Makes one row for each of n drawn examples.

        Parameters
        ----------
        draws : what the examples are made of.
        rows : (n, 756) uint8, C-contiguous; is filled.
        """
        words = rows.view(np.uint32)
        _compiled()(
            rows,
            words,
            words.view(np.float32),
            self._prefixes,
            self._smoothed,
            self._noise_masks,
            draws.spike,
            draws.masks,
            draws.weights,
        )


@functools.cache
def _compiled():
    import numba
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    def crc_instruction(name: str, word: types.Type, bits: int):
        @intrinsic
        def instruction(typing_context, crc, data):
            def generate(context, builder, signature, arguments):
                llvm_word = ir.IntType(bits)
                function_type = ir.FunctionType(llvm_word, [llvm_word, llvm_word])
                return builder.call(builder.module.declare_intrinsic(name, (), function_type), arguments)

            return word(word, word), generate

        return instruction

    crc_of_8_bytes = crc_instruction('llvm.x86.sse42.crc32.64.64', types.uint64, 64)
    crc_of_4_bytes = crc_instruction('llvm.x86.sse42.crc32.32.32', types.uint32, 32)

    # No fastmath: each product is rounded before it is added, as NumPy does it, and so the bytes are the same.
    @numba.njit(nogil=True)
    def make_rows(rows, words, floats, prefixes, smoothed, noise_masks, spikes, masks, weights):
        samples = smoothed.shape[1]
        for row in range(len(spikes)):
            spike = smoothed[spikes[row]]
            waveform = floats[row, _WAVEFORM_WORD : _WAVEFORM_WORD + samples]
            for sample in range(samples):
                waveform[sample] = spike[sample]
            for number in range(masks.shape[1]):
                weight = weights[row, number]
                if weight != 0:
                    mask = noise_masks[masks[row, number]]
                    for sample in range(samples):
                        waveform[sample] += weight * mask[sample]
            prefix = prefixes[spikes[row]]
            for word in range(_WAVEFORM_WORD):
                words[row, word] = prefix[word]
            mask_number = masks[row, 0] + 1
            for byte in range(_MASK_BYTES):
                rows[row, _MASK_BYTE + byte] = (mask_number >> 7 * byte) & 0x7F | (
                    0x80 if byte < _MASK_BYTES - 1 else 0
                )
            # 185 words: 92 pairs and one.
            crc = numba.uint64(0xFFFFFFFF)
            for word in range(_HEADER_WORDS, _CRC_WORD - 1, 2):
                pair = numba.uint64(words[row, word]) | numba.uint64(words[row, word + 1]) << numba.uint64(32)
                crc = crc_of_8_bytes(crc, pair)
            crc = ~crc_of_4_bytes(numba.uint32(crc), words[row, _CRC_WORD - 1])
            rotated = numba.uint32(crc >> numba.uint32(15)) | numba.uint32(crc << numba.uint32(17))
            words[row, _CRC_WORD] = numba.uint32(rotated + numba.uint32(record_layout.CRC_MASK_DELTA))

    return make_rows
