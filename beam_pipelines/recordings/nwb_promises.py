"""Checks what an NWB file promises before pynwb reads it: HDF5 allocates what a dataset says, and opens other files."""

from __future__ import annotations

import math
from typing import Any

from beam_pipelines.recordings.limits import check_compression
from beam_pipelines.recordings.rejection import RecordingRejected

# pynwb takes about 6 ms for each; a series has five.
_MOST_LINKS = 20_000
# HDF5 reads whole chunks, even for one sample.
_MOST_CHUNK_BYTES = 256 << 20
# So much is allowed in any case: a small dataset may be stored nowhere but in its header.
_LEAST_CHECKED_BYTES = 1 << 20


def check_nwb_promises(path: str) -> None:
    """Raises RecordingRejected if reading an HDF5 file would open other files, or fill the memory.

    Parameters
    ----------
    path : a local file.
    """
    import h5py  # Imported here because most recordings never need it.

    seen = 0

    def find_fault(name: str, link: Any) -> RecordingRejected | None:
        """Returns a fault rather than raising it: HDF5, which calls this, would lose it."""
        nonlocal seen
        seen += 1
        if seen > _MOST_LINKS:
            return RecordingRejected('too_long', f'more than {_MOST_LINKS} groups, datasets and links')
        if isinstance(link, h5py.ExternalLink):
            return RecordingRejected('unreadable', f'{name}: lies in another file')
        found = file[name] if isinstance(link, h5py.HardLink) else None
        # pynwb reads text and tables by itself, and numbers only when asked to.
        if isinstance(found, h5py.Dataset) and found.dtype.kind not in 'fiub':
            try:
                _check_size(name, found)
            except RecordingRejected as error:
                return error
        return None

    with h5py.File(path, 'r') as file:
        fault = file.visititems_links(find_fault)
    if fault is not None:
        raise fault


def check_dataset(name: str, dataset: Any) -> None:
    """Raises RecordingRejected if a dataset of numbers lies in other files, or promises more than it holds.

    Parameters
    ----------
    name : for the detail.
    dataset : an h5py dataset.
    """
    if dataset.external or dataset.is_virtual:
        raise RecordingRejected('unreadable', f'{name}: the samples lie in other files')
    _check_size(name, dataset)


def _check_size(name: str, dataset: Any) -> None:
    if dataset.shape is None:  # It holds nothing, and says so.
        return
    promised = math.prod(dataset.shape) * dataset.dtype.itemsize
    if promised > _LEAST_CHECKED_BYTES:
        check_compression(promised, dataset.id.get_storage_size())
    chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
    if chunk_bytes > _MOST_CHUNK_BYTES:
        raise RecordingRejected(
            'too_long', f'{name}: is stored in chunks of {chunk_bytes} bytes; store it in smaller ones'
        )
