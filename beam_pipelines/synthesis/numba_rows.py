"""Makes rows of synthetic records in one compiled pass: draw, gather, weigh, add, encode, CRC.

It makes the same bytes as ``synthesizer`` and ``record_layout`` do with NumPy, several times as fast. It pays off only
in large builds, because numba takes a few seconds to load and compile. It needs numba (the extra ``fast``)
and a processor with the CRC-32C instruction of SSE 4.2.
"""

from __future__ import annotations

import functools
import importlib.util
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from beam_pipelines import keyed_random
from beam_pipelines.datasets import record_layout
from beam_pipelines.synthesis.synthesizer import BITS_PER_NUMBER, BLOCK, MASKS, ORDER, PAIRS, WEIGHTS, Synthesizer

_HEADER_WORDS = 3
_WAVEFORM_WORD = record_layout.WAVEFORM_OFFSET // 4
_CRC_WORD = record_layout.RECORD_BYTES // 4 - 1
_MASK_FIELD = record_layout.as_json()['fields']['mask']
_MASK_BYTE, _MASK_BYTES = _MASK_FIELD['offset'], _MASK_FIELD['bytes']


@functools.cache
def is_available() -> bool:
    """Whether this machine can compile and run the code."""
    if platform.machine() not in ('x86_64', 'AMD64') or importlib.util.find_spec('numba') is None:
        return False
    from llvmlite import binding

    return binding.get_host_cpu_features().get('sse4.2', False)


class _Bank(NamedTuple):
    """What the compiled code reads; numba unpacks a named tuple when it compiles."""

    prefixes: np.ndarray  # (s, words before the waveform) uint32
    smoothed: np.ndarray  # (s, 160) float32, pA
    noise_masks: np.ndarray  # (m, 160) float32, pA
    ser_rows: np.ndarray
    nser_rows: np.ndarray
    ser_total: int
    nser_total: int


class _Draw(NamedTuple):
    """The keys and limits that the compiled code draws with."""

    order_key: np.uint64
    ser_key: np.uint64
    nser_key: np.uint64
    masks_key: np.uint64
    weights_key: np.uint64
    min_masks: int
    max_masks: int
    min_weight: float
    max_weight: float


class RowMaker:
    """Makes rows of synthetic records.

    Parameters
    ----------
    synthesizer : makes the same examples in NumPy.
    label, cell, trigger : (s,) integers, what the records store for each of the synthesizer's spikes.
    """

    def __init__(self, synthesizer: Synthesizer, label: np.ndarray, cell: np.ndarray, trigger: np.ndarray):
        smoothed = np.ascontiguousarray(synthesizer.smoothed)
        # Everything in a record before its waveform depends only on the spike, except the number of its mask.
        records = record_layout.encode_records(smoothed, label, cell, trigger, np.zeros(len(smoothed), np.int64))
        prefixes = np.ascontiguousarray(records[:, : record_layout.WAVEFORM_OFFSET]).view(np.uint32)
        noise_masks = np.ascontiguousarray(synthesizer.noise_masks)
        ser_rows, nser_rows = synthesizer.rows_of_class
        self._bank = _Bank(prefixes, smoothed, noise_masks, ser_rows, nser_rows, *synthesizer.examples)
        seed, recipe = synthesizer.seed, synthesizer.recipe
        self._draw = _Draw(
            keyed_random.derive_key(seed, ORDER),
            keyed_random.derive_key(seed, PAIRS, 0),
            keyed_random.derive_key(seed, PAIRS, 1),
            keyed_random.derive_key(seed, MASKS),
            keyed_random.derive_key(seed, WEIGHTS),
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
        rows : (n, 756) uint8, C-contiguous; filled in place.
        """
        _compiled()(rows, rows.view(np.uint32), first, self._bank, self._draw)


@functools.cache
def _compiled() -> Callable[..., None]:
    """Compiles the function that fills rows: (rows, the same rows as uint32, first example, bank, draw)."""
    import numba

    draw_pair, add_masks, encode = _compile_pairs(), _compile_masks(), _compile_encoding()

    @numba.njit(nogil=True)
    def make_rows(rows, words, first, bank, draw):  # type: ignore[no-untyped-def]  # compiled: numba infers the types
        floats = words.view(np.float32)
        for row in range(len(rows)):
            spike, first_mask = draw_pair(first + row, bank, draw)
            waveform = floats[row, _WAVEFORM_WORD : _WAVEFORM_WORD + bank.smoothed.shape[1]]
            for sample in range(len(waveform)):
                waveform[sample] = bank.smoothed[spike, sample]
            add_masks(waveform, first + row, first_mask, bank.noise_masks, draw)
            for word in range(_WAVEFORM_WORD):
                words[row, word] = bank.prefixes[spike, word]
            encode(rows[row], words[row], first_mask)

    return make_rows


# The functions below do for one example what keyed_random, synthesizer and record_layout do for arrays. They are
# inlined because calls would cost a sixth of the speed.


@functools.cache
def _compile_random_bits() -> Callable[..., Any]:
    import numba

    u64 = numba.uint64
    gamma = u64(keyed_random.GAMMA)

    @numba.njit(inline='always')
    def random_bits(key, index):  # type: ignore[no-untyped-def]  # compiled
        value = u64(key + (u64(index) + u64(1)) * gamma)
        value = (value ^ (value >> u64(30))) * u64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> u64(27))) * u64(0x94D049BB133111EB)
        return value ^ (value >> u64(31))

    return random_bits


def _compile_permute() -> Callable[..., Any]:
    import numba

    u64, random_bits = numba.uint64, _compile_random_bits()

    @numba.njit(inline='always')
    def permute(index, size, key):  # type: ignore[no-untyped-def]  # compiled
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

    return permute


def _compile_pairs() -> Callable[..., Any]:
    import numba

    random_bits, permute = _compile_random_bits(), _compile_permute()

    @numba.njit(inline='always')
    def draw_pair(example, bank, draw):  # type: ignore[no-untyped-def]  # compiled
        """Draws an example's spike and its first mask."""
        total = bank.ser_total + bank.nser_total
        block = example // BLOCK
        size = min(BLOCK, total - block * BLOCK)
        position = block * BLOCK + permute(example % BLOCK, size, random_bits(draw.order_key, block))
        ser_before = position * bank.ser_total // total
        if (position + 1) * bank.ser_total // total > ser_before:
            spikes, number, key = bank.ser_rows, ser_before, draw.ser_key
        else:
            spikes, number, key = bank.nser_rows, position - ser_before, draw.nser_key
        mask_count = len(bank.noise_masks)
        pairs = len(spikes) * mask_count
        pair = permute(number % pairs, pairs, random_bits(key, number // pairs))
        return spikes[pair // mask_count], pair % mask_count

    return draw_pair


def _compile_masks() -> Callable[..., Any]:
    import numba

    u64, random_bits = numba.uint64, _compile_random_bits()
    number_mask = u64((1 << BITS_PER_NUMBER) - 1)

    # No fastmath: each product is rounded before it is added, as in NumPy, so that the bytes are the same.
    @numba.njit(inline='always')
    def add_masks(waveform, example, first_mask, noise_masks, draw):  # type: ignore[no-untyped-def]  # compiled
        mask_count = len(noise_masks)
        mask_bits, weight_bits = random_bits(draw.masks_key, example), random_bits(draw.weights_key, example)
        spread = draw.max_masks - draw.min_masks + 1
        used = draw.min_masks + (numba.int64(mask_bits >> u64(3 * BITS_PER_NUMBER)) * spread >> BITS_PER_NUMBER)
        for further in range(used):
            mask = first_mask
            if further:
                low = 1 + (further - 1) * (mask_count - 1) // 3
                high = 1 + further * (mask_count - 1) // 3
                drawn = numba.int64(mask_bits >> u64((further - 1) * BITS_PER_NUMBER) & number_mask)
                mask = (first_mask + low + (drawn * (high - low) >> BITS_PER_NUMBER)) % mask_count
            drawn = numba.int64(weight_bits >> u64(further * BITS_PER_NUMBER) & number_mask)
            weight = numba.float32(
                draw.min_weight + (draw.max_weight - draw.min_weight) * drawn / (1 << BITS_PER_NUMBER)
            )
            if weight != 0:  # Adding 0.0 would turn -0.0 into 0.0; the NumPy code skips it too.
                for sample in range(len(waveform)):
                    waveform[sample] += weight * noise_masks[mask, sample]

    return add_masks


def _compile_encoding() -> Callable[..., Any]:
    import numba

    u32, u64 = numba.uint32, numba.uint64
    crc_of_8_bytes, crc_of_4_bytes = _crc_instruction(64), _crc_instruction(32)

    @numba.njit(inline='always')
    def encode(row, words, first_mask):  # type: ignore[no-untyped-def]  # compiled
        """Writes the number of the first mask and the CRC into a row; ``words`` is the same memory."""
        for byte in range(_MASK_BYTES):
            continues = 0x80 if byte < _MASK_BYTES - 1 else 0
            row[_MASK_BYTE + byte] = (first_mask + 1 >> 7 * byte) & 0x7F | continues
        # The CRC covers 185 words: 92 pairs and one.
        crc = u64(0xFFFFFFFF)
        for word in range(_HEADER_WORDS, _CRC_WORD - 1, 2):
            crc = crc_of_8_bytes(crc, u64(words[word]) | u64(words[word + 1]) << u64(32))
        crc = ~crc_of_4_bytes(u32(crc), words[_CRC_WORD - 1])
        rotated = u32(crc >> u32(15)) | u32(crc << u32(17))
        words[_CRC_WORD] = u32(rotated + u32(record_layout.CRC_MASK_DELTA))

    return encode


def _crc_instruction(bits: int) -> Callable[..., Any]:
    """Returns SSE 4.2's CRC-32C instruction for words of 32 or 64 bits: (CRC so far, word) -> CRC."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    word = types.uint64 if bits == 64 else types.uint32

    @intrinsic
    def instruction(typing_context, crc, data):  # type: ignore[no-untyped-def]  # as numba calls it
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # as numba calls it
            llvm_word = ir.IntType(bits)
            function_type = ir.FunctionType(llvm_word, [llvm_word, llvm_word])
            name = f'llvm.x86.sse42.crc32.{bits}.{bits}'
            return builder.call(builder.module.declare_intrinsic(name, (), function_type), arguments)

        return word(word, word), generate

    return instruction
