"""Makes rows of synthetic records in one compiled pass: draw, gather, weigh, add, encode, CRC.

The same bytes as ``synthesis`` and ``record_layout`` make with NumPy, several times as fast; for builds that are large
enough to be worth the second that numba takes to load and compile. It needs numba (the extra ``fast``) and a processor
with the CRC-32C instruction of SSE 4.2.
"""

from __future__ import annotations

import functools
import importlib.util
import platform

import numpy as np

from beam_pipelines import keyed_random
from beam_pipelines.datasets import record_layout
from beam_pipelines.synthesis import synthesizer as synthesis
from beam_pipelines.synthesis.synthesizer import Synthesizer

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
    synthesizer : what the rows are made by, in NumPy.
    label, cell, trigger : (s,) integers, what the records of each of the synthesizer's spikes say.
    """

    def __init__(self, synthesizer: Synthesizer, label: np.ndarray, cell: np.ndarray, trigger: np.ndarray):
        smoothed = np.ascontiguousarray(synthesizer.smoothed)
        # All that a record holds before its waveform, but for the number of its mask, is the same for a spike.
        records = record_layout.encode_records(smoothed, label, cell, trigger, np.zeros(len(smoothed), np.int64))
        prefixes = np.ascontiguousarray(records[:, : record_layout.WAVEFORM_OFFSET]).view(np.uint32)
        seed, recipe = synthesizer.seed, synthesizer.recipe
        self._arguments = (
            prefixes,
            smoothed,
            np.ascontiguousarray(synthesizer.noise_masks),
            *synthesizer.rows_of_class,
            *synthesizer.examples,
            keyed_random.derive_key(seed, synthesis.ORDER),
            keyed_random.derive_key(seed, synthesis.PAIRS, 0),
            keyed_random.derive_key(seed, synthesis.PAIRS, 1),
            keyed_random.derive_key(seed, synthesis.MASKS),
            keyed_random.derive_key(seed, synthesis.WEIGHTS),
            recipe.min_masks,
            recipe.max_masks,
            float(recipe.min_weight),
            float(recipe.max_weight),
        )

    def make(self, first: int, rows: np.ndarray) -> None:
        """Makes the rows of examples ``first, first + 1, ...``.

        Parameters
        ----------
        first : number of the first example.
        rows : (n, 756) uint8, C-contiguous; is filled.
        """
        words = rows.view(np.uint32)
        _compiled()(rows, words, words.view(np.float32), first, *self._arguments)


@functools.cache
def _compiled():
    import numba
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    u32, u64 = numba.uint32, numba.uint64

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

    # What follows is bijection.py and synthesis.py for one example at a time.
    gamma = u64(keyed_random.GAMMA)
    block_size, number_bits = synthesis.BLOCK, synthesis.BITS_A_NUMBER
    number_mask = u64((1 << number_bits) - 1)

    @numba.njit(inline='always')
    def random_bits(key, index):
        value = u64(key + (u64(index) + u64(1)) * gamma)
        value = (value ^ (value >> u64(30))) * u64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> u64(27))) * u64(0x94D049BB133111EB)
        return value ^ (value >> u64(31))

    @numba.njit
    def permute(index, size, key):
        bits = u64(2)
        while u64(size - 1) >> bits:
            bits += u64(1)
        value = u64(index)
        while True:
            right_bits = bits // u64(2)
            left_bits = bits - right_bits
            left, right = value >> right_bits, value & ((u64(1) << right_bits) - u64(1))
            for number in range(keyed_random.ROUNDS):
                scrambled = random_bits(key, right + (u64(number) << u64(32)))
                left, right = right, left ^ (scrambled >> (u64(64) - left_bits))
                left_bits, right_bits = right_bits, left_bits
            value = left << right_bits | right
            if value < u64(size):
                return numba.int64(value)

    # No fastmath: each product is rounded before it is added, as NumPy does it, and so the bytes are the same.
    @numba.njit(nogil=True)
    def make_rows(
        rows, words, floats, first, prefixes, smoothed, noise_masks, ser_rows, nser_rows, ser_total, nser_total,
        order_key, ser_key, nser_key, masks_key, weights_key, min_masks, max_masks, min_weight, max_weight,
    ):  # fmt: skip
        samples, mask_count, total = smoothed.shape[1], len(noise_masks), ser_total + nser_total
        for row in range(len(rows)):
            example = first + row
            block = example // block_size
            size = min(block_size, total - block * block_size)
            position = block * block_size + permute(example % block_size, size, random_bits(order_key, block))
            ser_before = position * ser_total // total
            if (position + 1) * ser_total // total > ser_before:
                spikes, number, key = ser_rows, ser_before, ser_key
            else:
                spikes, number, key = nser_rows, position - ser_before, nser_key
            pairs = len(spikes) * mask_count
            pair = permute(number % pairs, pairs, random_bits(key, number // pairs))
            spike, first_mask = spikes[pair // mask_count], pair % mask_count

            waveform = floats[row, _WAVEFORM_WORD : _WAVEFORM_WORD + samples]
            for sample in range(samples):
                waveform[sample] = smoothed[spike, sample]
            mask_bits, weight_bits = random_bits(masks_key, example), random_bits(weights_key, example)
            spread = max_masks - min_masks + 1
            used = min_masks + (numba.int64(mask_bits >> u64(3 * number_bits)) * spread >> number_bits)
            for further in range(used):
                mask = first_mask
                if further:
                    low = 1 + (further - 1) * (mask_count - 1) // 3
                    high = 1 + further * (mask_count - 1) // 3
                    drawn = numba.int64(mask_bits >> u64((further - 1) * number_bits) & number_mask)
                    mask = (first_mask + low + (drawn * (high - low) >> number_bits)) % mask_count
                drawn = numba.int64(weight_bits >> u64(further * number_bits) & number_mask)
                weight = numba.float32(min_weight + (max_weight - min_weight) * drawn / (1 << number_bits))
                if weight != 0:  # Adding nothing would turn -0.0 into 0.0, which NumPy's way does not.
                    for sample in range(samples):
                        waveform[sample] += weight * noise_masks[mask, sample]

            for word in range(_WAVEFORM_WORD):
                words[row, word] = prefixes[spike, word]
            for byte in range(_MASK_BYTES):
                continues = 0x80 if byte < _MASK_BYTES - 1 else 0
                rows[row, _MASK_BYTE + byte] = (first_mask + 1 >> 7 * byte) & 0x7F | continues
            # 185 words: 92 pairs and one.
            crc = u64(0xFFFFFFFF)
            for word in range(_HEADER_WORDS, _CRC_WORD - 1, 2):
                crc = crc_of_8_bytes(crc, u64(words[row, word]) | u64(words[row, word + 1]) << u64(32))
            crc = ~crc_of_4_bytes(u32(crc), words[row, _CRC_WORD - 1])
            rotated = u32(crc >> u32(15)) | u32(crc << u32(17))
            words[row, _CRC_WORD] = u32(rotated + u32(record_layout.CRC_MASK_DELTA))

    return make_rows
