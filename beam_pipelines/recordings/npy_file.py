"""Maps an ``.npy`` file into memory, without pickle."""

from __future__ import annotations

import warnings

import numpy as np

from beam_pipelines.recordings.regular_files import open_regular
from beam_pipelines.recordings.rejection import RecordingRejected


def map_npy(path: str) -> np.ndarray:
    """Maps the array of a local ``.npy`` file, read-only.

    Raises
    ------
    RecordingRejected
        If it is no such file, holds Python objects, or is shorter than its header promises.
    """
    try:
        with open_regular(path) as file:
            magic = file.read(len(np.lib.format.MAGIC_PREFIX))
        if magic != np.lib.format.MAGIC_PREFIX:
            raise RecordingRejected('bad_array', f'the file starts with {magic!r}, not as an .npy file does')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # They name no file, and are about how its header was written.
            return np.load(path, mmap_mode='r', allow_pickle=False)
    except (RecordingRejected, MemoryError):
        raise
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except Exception as error:  # NumPy parses the header as Python text, whose errors are many.
        words = str(error)
        if 'Python objects in dtype' in words:
            raise RecordingRejected(
                'bad_array', 'the array holds Python objects, which only pickle could read; save it as numbers or text'
            ) from None
        reason = 'truncated' if 'mmap length' in words else 'bad_array'
        raise RecordingRejected(reason, f'{type(error).__name__}: {words}') from None
