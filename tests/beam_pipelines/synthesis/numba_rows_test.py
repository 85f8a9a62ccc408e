"""The compiled way makes the bytes of the NumPy way."""

import concurrent.futures

import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.synthesis import numba_rows
from tests.support.small_dataset import make_source

pytestmark = pytest.mark.skipif(not numba_rows.is_available(), reason='numba or the CRC instruction is not here')


def _rows(monkeypatch, compiled: bool, first: int, stop: int, **dataset) -> np.ndarray:
    with monkeypatch.context() as patch:
        if not compiled:
            patch.setattr(numba_rows, 'is_available', lambda: False)
        _, source = make_source(**(dataset or {'config': 'synthetic_small'}))
    return np.concatenate([block.copy() for block in source.blocks('train', first, stop)])


@pytest.mark.parametrize('first, stop', [(0, 40_000), (5, 6), (126_000, 127_006)])
def test_rows_are_the_same_byte_for_byte(monkeypatch, first, stop):
    compiled_rows = _rows(monkeypatch, True, first, stop)
    assert np.array_equal(compiled_rows, _rows(monkeypatch, False, first, stop))
    assert record_layout.find_bad_records(compiled_rows) == []


def test_the_last_of_ten_thousand_million_rows_are_the_same(monkeypatch):
    in_all = 10**10
    dataset = {'config': 'synthetic', 'synthetic_examples': (in_all // 2, in_all // 2)}
    made = [_rows(monkeypatch, compiled, in_all - 5_000, in_all, **dataset) for compiled in (True, False)]
    assert len(made[0]) == 5_000
    assert np.array_equal(*made)


def test_a_dataset_of_any_size_is_made_the_compiled_way(monkeypatch):
    made = []
    monkeypatch.setattr(numba_rows, 'RowMaker', lambda *arguments: made.append(arguments))
    make_source('synthetic', synthetic_examples=(1, 1))
    assert made


def test_threads_that_share_a_bank_make_the_same_rows(monkeypatch):
    _, source = make_source('synthetic_small')
    parts = [(first, first + 5_000) for first in range(0, 40_000, 5_000)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda part: [block.copy() for block in source.blocks('train', *part)], parts))
    rows = np.concatenate([block for blocks in made for block in blocks])
    assert np.array_equal(rows, _rows(monkeypatch, False, 0, 40_000))
