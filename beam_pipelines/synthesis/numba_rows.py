"""Makes rows of synthetic records in one compiled pass: draw, gather, weigh, add, encode, CRC.

It makes the same bytes as ``synthesizer`` and ``record_layout`` do with NumPy, several times as fast. It needs a
processor with the CRC-32C instruction of SSE 4.2. The machine code is compiled once per installation and kept, see
``machine_code``; it runs without Python's global lock, so threads make rows side by side.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import inspect
import pathlib
import platform
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from beam_pipelines import domain, keyed_random
from beam_pipelines.datasets import record_layout
from beam_pipelines.synthesis import machine_code, synthesizer
from beam_pipelines.synthesis.synthesizer import BITS_PER_NUMBER, BLOCK, MASKS, ORDER, PAIRS, WEIGHTS, Synthesizer

_HEADER_WORDS = 3
_WAVEFORM_WORD = record_layout.WAVEFORM_OFFSET // 4
RECORD_WORDS = record_layout.RECORD_BYTES // 4
_CRC_WORD = RECORD_WORDS - 1

# A row of the bank: the record of a spike, which gives all that stands before the waveform, and its smoothed waveform.
BANK_WORDS = RECORD_WORDS + domain.SPIKE_SAMPLES
_MASK_FIELD = record_layout.as_json()['fields']['mask']
_MASK_BYTE, _MASK_BYTES = _MASK_FIELD['offset'], _MASK_FIELD['bytes']

# What the machine code is made from.
_SOURCES = tuple(pathlib.Path(inspect.getfile(module)) for module in (domain, keyed_random, record_layout, synthesizer))

_one_at_a_time = threading.Lock()


def is_available() -> bool:
    """Whether this machine can compile and run the code; compiles it if that was never done here."""
    return _kernel() is not None


@contextlib.contextmanager
def compiled_meanwhile() -> Iterator[None]:
    """Loads or compiles the code on a thread while the block runs, so that nobody waits for it later."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(is_available)
        yield


def _kernel() -> machine_code.Function | None:
    """Returns the machine code that fills rows; None where it cannot be had."""
    with _one_at_a_time:  # A thread may be compiling it while recordings are read.
        return _load_kernel()


@functools.cache
def _load_kernel() -> machine_code.Function | None:
    if platform.machine() not in ('x86_64', 'AMD64') or not machine_code.has_instruction('sse4.2'):
        return None
    return machine_code.load('rows', (pathlib.Path(__file__), *_SOURCES), _compile)


class _Bank(NamedTuple):
    """What the compiled code reads; numba unpacks a named tuple when it compiles."""

    words: np.ndarray  # (s, 349) uint32, see BANK_WORDS
    floats: np.ndarray  # (s, 349) float32, the same memory; pA
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
    """Makes rows of synthetic records; several threads may use one.

    Parameters
    ----------
    synthesizer : makes the same examples in NumPy.
    bank : (s, 349) uint32, C-contiguous; the synthesizer's spikes, see ``BANK_WORDS``. Their records have mask 0.

    Raises
    ------
    RuntimeError
        If this machine cannot run the code, see ``is_available``.
    """

    def __init__(self, synthesizer: Synthesizer, bank: np.ndarray):
        kernel = _kernel()
        if kernel is None:
            raise RuntimeError('this machine cannot compile or run the code')
        self._fill = kernel
        ser_rows, nser_rows = synthesizer.rows_of_class
        noise_masks, recipe = np.ascontiguousarray(synthesizer.noise_masks), synthesizer.recipe
        streams = ((ORDER,), (PAIRS, 0), (PAIRS, 1), (MASKS,), (WEIGHTS,))
        keys = [keyed_random.derive_key(synthesizer.seed, *stream) for stream in streams]
        sizes = [len(bank), len(noise_masks), len(ser_rows), len(nser_rows), *synthesizer.examples]
        # In the order of _compile's make_rows; kept, because the machine code gets their addresses.
        self._arrays = (
            bank,
            bank,
            noise_masks,
            np.concatenate([ser_rows, nser_rows]).astype(np.int64),
            np.array([*sizes, recipe.min_masks, recipe.max_masks], np.int64),
            np.array(keys, np.uint64),
            np.array([recipe.min_weight, recipe.max_weight], np.float64),
        )

    def make(self, first: int, rows: np.ndarray) -> None:
        """Makes the rows of examples ``first, first + 1, ...``.

        Parameters
        ----------
        first : number of the first example.
        rows : (n, 756) uint8, C-contiguous; filled in place.

        Raises
        ------
        ValueError
            If ``rows`` is anything else.
        """
        if rows.dtype != np.uint8 or rows.shape[1:] != (record_layout.RECORD_BYTES,) or not rows.flags.c_contiguous:
            raise ValueError(
                f'rows are {rows.shape} {rows.dtype}, expected whole records of {record_layout.RECORD_BYTES} bytes'
            )
        self._fill(first, len(rows), rows, rows, rows, *self._arrays)


def _compile() -> machine_code.Compiled | None:
    """Compiles the function that fills rows; None without numba, or where it may not compile."""
    try:
        import numba
        from numba import carray, types
    except ImportError:
        return None
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # set from the environment
        return None
    pointer = types.CPointer
    draw_pair, add_masks, encode = _compile_pairs(), _compile_masks(), _compile_encoding()
    samples = domain.SPIKE_SAMPLES
    signature = types.void(
        types.int64,
        types.int64,
        *map(pointer, (types.uint8, types.uint32, types.float32, types.uint32, types.float32, types.float32)),
        *map(pointer, (types.int64, types.int64, types.uint64, types.float64)),
    )

    # With NumPy's error model, a division by zero raises nothing: then the code needs nothing of Python.
    @numba.cfunc(signature, error_model='numpy')
    def make_rows(  # type: ignore[no-untyped-def]  # noqa: PLR0913  # compiled: it takes only numbers and addresses
        first, count, rows, words, floats, bank_words, bank_floats, masks, rows_of_class, sizes, keys, weights
    ):
        spikes, mask_count, ser_spikes, nser_spikes = sizes[0], sizes[1], sizes[2], sizes[3]
        rows_of_class = carray(rows_of_class, (ser_spikes + nser_spikes,))
        bank = _Bank(
            carray(bank_words, (spikes, BANK_WORDS)),
            carray(bank_floats, (spikes, BANK_WORDS)),
            carray(masks, (mask_count, samples)),
            rows_of_class[:ser_spikes],
            rows_of_class[ser_spikes:],
            sizes[4],
            sizes[5],
        )
        draw = _Draw(keys[0], keys[1], keys[2], keys[3], keys[4], sizes[6], sizes[7], weights[0], weights[1])
        # The same memory, three times.
        rows = carray(rows, (count, record_layout.RECORD_BYTES))
        words = carray(words, (count, RECORD_WORDS))
        floats = carray(floats, (count, RECORD_WORDS))
        for row in range(count):
            spike, first_mask = draw_pair(first + row, bank, draw)
            waveform = floats[row, _WAVEFORM_WORD : _WAVEFORM_WORD + samples]
            for sample in range(samples):
                waveform[sample] = bank.floats[spike, RECORD_WORDS + sample]
            add_masks(waveform, first + row, first_mask, bank.noise_masks, draw)
            # Everything in a record before its waveform depends only on the spike, except the number of its mask.
            for word in range(_WAVEFORM_WORD):
                words[row, word] = bank.words[spike, word]
            encode(rows[row], words[row], first_mask)

    return machine_code.Compiled(make_rows.inspect_llvm(), make_rows.native_name)


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
