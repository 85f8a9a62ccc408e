"""Weights out of damaged files: HDF5 follows numbers that nobody checks, and must end in one line."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from tests.integration.frozen_files import FROZEN
from trainer.errors import ModelError
from trainer.models.architectures import build_member
from trainer.models.stored_network import StoredNetwork, fill_member, read_network


@pytest.fixture(scope='module')
def member():
    return build_member('cnn', 4)


@pytest.fixture(scope='module')
def stored() -> StoredNetwork:
    return read_network(str(FROZEN / 'finished' / 'members' / 'k4.keras'))


def _fill(member, stored: StoredNetwork, weights: bytes) -> str | None:
    """Returns the error of reading other weights, if there is one."""
    try:
        fill_member(member, StoredNetwork('d/k4.keras', stored.layers, weights), 'the network')
    except ModelError as error:
        assert str(error).startswith('d/k4.keras: ') and '\n' not in str(error)
        return str(error)
    return None


@pytest.mark.parametrize('number', [2**63 - 1, 2**64 - 2])
def test_no_address_that_leads_nowhere_is_a_traceback(member, stored, number):
    weights = stored.weights
    # The superblock and the first objects, which hold the addresses of the others.
    broken = [weights[:at] + number.to_bytes(8, 'little') + weights[at + 8 :] for at in range(0, 400, 8)]
    assert sum(_fill(member, stored, content) is not None for content in broken) > 5


def _with_dataset(weights: bytes, make) -> bytes:
    buffer = io.BytesIO(weights)
    with h5py.File(buffer, 'r+') as file:
        name = 'layers/dense/vars/1'
        del file[name]
        make(file, name)
    return buffer.getvalue()


@pytest.mark.parametrize(
    'make',
    [
        lambda file, name: file.create_dataset(name, (2,), h5py.string_dtype()),
        lambda file, name: file.create_dataset(name, (2**40, 2**20), 'f4', chunks=True),
        lambda file, name: file.create_group(name),
        lambda file, name: file.create_dataset(name, (2,), 'c8'),
        lambda file, name: file.create_dataset(name, (2,), 'i4'),
        lambda file, name: file.__setitem__(name, h5py.SoftLink('/layers')),
        lambda file, name: file.__setitem__(name, h5py.ExternalLink('outside.h5', name)),
        lambda file, name: file.create_dataset(name, (2,), 'f4', external=[('outside', 0, 8)]),
        lambda file, name: file.__setitem__(name, np.array([np.nan, 0], np.float32)),
    ],
)
def test_weights_that_are_no_numbers_or_elsewhere_are_refused(make, member, stored):
    assert _fill(member, stored, _with_dataset(stored.weights, make))


@pytest.mark.parametrize('name', ['config.json', 'model.weights.h5'])
def test_an_entry_that_is_a_bomb_is_not_unpacked(name, tmp_path):
    with zipfile.ZipFile(tmp_path / 'k4.keras', 'w', zipfile.ZIP_DEFLATED) as archive:
        for entry in ('config.json', 'model.weights.h5'):
            archive.writestr(entry, bytes(65 << 20) if entry == name else b'{}')
    with pytest.raises(ModelError, match=f'{name} is too large'):
        read_network(str(tmp_path / 'k4.keras'))
