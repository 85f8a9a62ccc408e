"""The compiled way makes the bytes of the NumPy way."""

import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.planning import example_source
from beam_pipelines.synthesis import numba_rows
from tests.support.small_dataset import make_source

pytestmark = pytest.mark.skipif(not numba_rows.is_available(), reason='numba or the CRC instruction is not here')


def _rows(monkeypatch, worth_compiling: int, first: int, stop: int) -> np.ndarray:
    monkeypatch.setattr(example_source, '_WORTH_COMPILING', worth_compiling)
    _, source = make_source('synthetic_small')
    return np.concatenate([block.copy() for block in source.blocks('train', first, stop)])


@pytest.mark.parametrize('first, stop', [(0, 40_000), (5, 6), (126_000, 127_006)])
def test_rows_are_the_same_byte_for_byte(monkeypatch, first, stop):
    compiled_rows = _rows(monkeypatch, 0, first, stop)
    assert np.array_equal(compiled_rows, _rows(monkeypatch, 10**9, first, stop))
    assert record_layout.find_bad_records(compiled_rows) == []


def test_the_last_of_ten_thousand_million_rows_are_the_same(monkeypatch):
    examples_in_all = 10**10
    made = []
    for worth_compiling in (0, 2 * examples_in_all):
        monkeypatch.setattr(example_source, '_WORTH_COMPILING', worth_compiling)
        _, source = make_source('synthetic', synthetic_examples=(examples_in_all // 2, examples_in_all // 2))
        blocks = source.blocks('train', examples_in_all - 5_000, examples_in_all)
        made.append(np.concatenate([block.copy() for block in blocks]))
    assert len(made[0]) == 5_000
    assert np.array_equal(*made)


def test_a_large_dataset_is_compiled_and_a_small_one_is_not(monkeypatch):
    made = []
    monkeypatch.setattr(numba_rows, 'RowMaker', lambda *arguments: made.append(arguments))
    make_source('synthetic_small')
    assert not made
    make_source('synthetic')
    assert made
