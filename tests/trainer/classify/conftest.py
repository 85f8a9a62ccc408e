"""NWB files of two cells and of one, with and without their units."""

import pathlib
import tempfile
from collections.abc import Iterator

import h5py
import pytest

from tests.support.foreign_recordings import add_units, write_nwb
from tests.support.simulated_current import simulated_current
from trainer import classify

STARTS_S = {'a': 0.0, 'b': 100.0}


@pytest.fixture(scope='session')
def nwb_model(finished_run):
    return classify.load(finished_run)


@pytest.fixture(scope='session')
def currents():
    """Two cells: {series: (current, times of the troughs in s from its start)}."""
    cells = {'a': simulated_current(6.0, 'SER', seed=1, udi_ms=2.0), 'b': simulated_current(6.0, 'NSER', seed=2)}
    return {name: (current_pa, troughs / 40_000) for name, (current_pa, troughs) in cells.items()}


@pytest.fixture(scope='session')
def original(currents, tmp_path_factory) -> pathlib.Path:
    """A session of two cells, recorded one after the other, and their units in the other order. Read only."""
    path = tmp_path_factory.mktemp('original') / 'session.nwb'
    write_nwb(path, {name: current_pa for name, (current_pa, _) in currents.items()})
    with h5py.File(path, 'r+') as file:
        for name, start_s in STARTS_S.items():
            file[f'acquisition/{name}/starting_time'][()] = start_s
    add_units(path, [STARTS_S[name] + currents[name][1] for name in ('b', 'a')])
    return path


@pytest.fixture
def session(original, tmp_path) -> pathlib.Path:
    path = tmp_path / 'session.nwb'
    path.write_bytes(original.read_bytes())
    return path


@pytest.fixture
def one_cell(currents, tmp_path) -> pathlib.Path:
    """A file of one cell without units."""
    path = tmp_path / 'one.nwb'
    write_nwb(path, {'a': currents['a'][0]})
    return path


@pytest.fixture
def free_folder() -> Iterator[pathlib.Path]:
    """A folder in which other users may do what they like; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder).resolve()
        path.chmod(0o777)
        yield path
