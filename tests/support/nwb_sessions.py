"""What is in an NWB file to which verdicts are added, and whether it stays as it is."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterator

import h5py


def units_of(path: pathlib.Path):
    """Returns the units as a data frame of pandas."""
    import pynwb

    with pynwb.NWBHDF5IO(str(path), 'r') as io:
        return io.read().units.to_dataframe()


def everything_in(path: pathlib.Path) -> dict[str, str]:
    """Returns a digest of each dataset and group with its attributes, but for the names of the units' columns."""
    found = {}

    def add(name, item):
        content = item[()] if isinstance(item, h5py.Dataset) else None
        is_numbers = content is not None and item.dtype.kind != 'O'
        digest = hashlib.sha256(content.tobytes() if is_numbers else repr(content).encode())
        attributes = {key: str(value) for key, value in item.attrs.items() if (name, key) != ('units', 'colnames')}
        found[f'/{name}'] = digest.hexdigest() + str(sorted(attributes.items()))

    with h5py.File(path) as file:
        file.visititems(add)
    return found


def left_behind(path: pathlib.Path) -> list[str]:
    """Returns the names of what lies beside a file."""
    return sorted(other.name for other in path.parent.iterdir() if other != path)


@contextlib.contextmanager
def stays_as_it_is(path: pathlib.Path) -> Iterator[None]:
    """Fails the test if the block changes or replaces a file, or leaves anything new beside it."""
    before, times, beside = path.read_bytes(), os.stat(path), left_behind(path)
    yield
    assert path.read_bytes() == before
    assert (os.stat(path).st_ino, os.stat(path).st_mtime_ns) == (times.st_ino, times.st_mtime_ns)
    assert left_behind(path) == beside
