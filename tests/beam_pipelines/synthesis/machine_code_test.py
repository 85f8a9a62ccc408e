"""Machine code is compiled once, and loaded only if it is whole and nobody else could have written it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from beam_pipelines.synthesis import machine_code, numba_rows
from tests.support.places import ROOT

pytestmark = pytest.mark.skipif(not numba_rows.is_available(), reason='numba or the CRC instruction is not here')

_SOURCE = (pathlib.Path(__file__),)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> pathlib.Path:
    folder = tmp_path / 'cache'
    monkeypatch.setattr(machine_code.platformdirs, 'user_cache_dir', lambda *_, **__: str(folder))
    return folder


@pytest.fixture
def compiled(monkeypatch) -> list[None]:
    """Has one item for each time that something was compiled; what is compiled adds 1 to the numbers of an array."""
    times = []

    def compile_it() -> machine_code.Compiled:
        import numba
        from numba import types

        times.append(None)

        @numba.cfunc(types.void(types.int64, types.CPointer(types.int64)), error_model='numpy')
        def add_one(count, numbers):
            for index in range(count):
                numbers[index] += 1

        return machine_code.Compiled(add_one.inspect_llvm(), add_one.native_name)

    monkeypatch.setattr(numba_rows, '_compile', compile_it)
    return times


def _add_one() -> list[int]:
    function = machine_code.load('add_one', _SOURCE, numba_rows._compile)
    numbers = np.arange(3)
    function(3, numbers)
    return numbers.tolist()


def test_it_is_compiled_once_and_loaded_afterwards(cache, compiled):
    assert [_add_one(), _add_one()] == [[1, 2, 3]] * 2
    assert len(compiled) == 1
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_loading_it_imports_no_numba(tmp_path):
    code = (
        'import sys\nfrom beam_pipelines.synthesis import numba_rows\n'
        "assert numba_rows.is_available()\nprint('numba' in sys.modules)"
    )
    environment = os.environ | {'XDG_CACHE_HOME': str(tmp_path), 'HOME': str(tmp_path)}
    for imported in ('True', 'False'):
        result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert (result.stdout.strip(), result.stderr) == (imported, '')


@pytest.mark.parametrize('keep', [0, 10, 100, -1])
def test_a_file_that_is_cut_is_made_anew(cache, compiled, keep):
    _add_one()
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:keep])
    assert [_add_one(), _add_one()] == [[1, 2, 3]] * 2
    assert len(compiled) == 2


def test_a_file_that_others_may_write_is_made_anew(cache, compiled):
    _add_one()
    (kept,) = cache.iterdir()
    kept.chmod(0o666)
    assert _add_one() == [1, 2, 3]
    assert len(compiled) == 2
    assert kept.stat().st_mode & 0o777 == 0o600


def test_another_processor_has_its_own(cache, compiled, monkeypatch):
    _add_one()
    monkeypatch.setattr(machine_code, '_features', lambda: '+sse4.2')
    assert _add_one() == [1, 2, 3]
    assert len(compiled) == 2
    assert len(list(cache.iterdir())) == 2


def test_without_a_folder_that_can_be_written_each_process_compiles(cache, compiled):
    cache.write_text('not a folder')
    assert [_add_one(), _add_one()] == [[1, 2, 3]] * 2
    assert len(compiled) == 2


def test_code_that_would_call_python_is_not_kept(cache):
    def compile_it() -> machine_code.Compiled:
        import numba
        from numba import types

        @numba.cfunc(types.void(types.int64, types.CPointer(types.int64)))
        def divide(count, numbers):
            numbers[0] //= count  # raises ZeroDivisionError

        return machine_code.Compiled(divide.inspect_llvm(), divide.native_name)

    assert machine_code.load('divide', _SOURCE, compile_it) is None
    assert not cache.exists()
