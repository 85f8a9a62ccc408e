"""How much of a file is read at most: what anybody records, and what the file really holds.

A header of a few bytes can promise terabytes. Readers check its promises here before they allocate anything.
"""

from __future__ import annotations

import os

from beam_pipelines.recordings.rejection import RecordingRejected

# Two hours at 40 kHz. Reading it and finding the spikes takes 6 to 7 bytes of memory for each sample.
MOST_SAMPLES = 2 * 3600 * 40_000
# Clampex records no more in a run. Each sweep takes time of its own, however short it is.
MOST_SWEEPS = 10_000
# A recorded current has noise, and no program or file system stores it in so much less: more is an empty promise.
MOST_COMPRESSION = 50

# Smaller files may be stored in the folder itself, without a block.
_LEAST_CHECKED_BYTES = 1 << 20
_DISK_BLOCK_BYTES = 512  # of st_blocks, whatever the file system


def check_samples(samples: int) -> None:
    """Raises RecordingRejected if a file of so many samples, of all channels, is too long to be read."""
    if samples > MOST_SAMPLES:
        raise RecordingRejected(
            'too_long', f'{samples} samples are more than the {MOST_SAMPLES} that can be read at once'
        )


def check_sweeps(sweeps: int) -> None:
    """Raises RecordingRejected if a file has too many sweeps to be read."""
    if sweeps > MOST_SWEEPS:
        raise RecordingRejected('too_long', f'{sweeps} sweeps are more than the {MOST_SWEEPS} that can be read at once')


def check_compression(promised_bytes: int, stored_bytes: int) -> None:
    """Raises RecordingRejected if so many bytes of samples cannot be stored in so few."""
    if promised_bytes > MOST_COMPRESSION * stored_bytes:
        raise RecordingRejected('truncated', f'{promised_bytes} bytes are promised, the file holds {stored_bytes}')


def check_held(path: str, size: int) -> None:
    """Raises RecordingRejected if a local file of this size takes next to no place on the disk: if it is all holes."""
    blocks = getattr(os.stat(path), 'st_blocks', None)  # None on Windows
    if blocks is not None and size > _LEAST_CHECKED_BYTES:
        check_compression(size, blocks * _DISK_BLOCK_BYTES)
