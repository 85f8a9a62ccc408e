"""The spikes and noise masks of one cell, and the bytes in which they are staged between reading and writing."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from beam_pipelines import domain

# The arrays of a cell, in the order of the fields.
_KINDS = {'waveforms': '<f4', 'triggers': '<i8', 'masks': '<f4', 'mask_starts': '<i8'}


@dataclasses.dataclass(frozen=True)
class CellSpikes:
    """The spikes and noise masks of one cell.

    Attributes
    ----------
    waveforms : (s, 160) float32, pA.
    triggers : (s,) int64, sample indices in the recording, ascending.
    masks : (m, 160) float32, pA; noise masks in a seeded random order.
    mask_starts : (m,) int64, first sample of each mask in the recording.
    """

    waveforms: np.ndarray
    triggers: np.ndarray
    masks: np.ndarray
    mask_starts: np.ndarray

    def fingerprint(self) -> str:
        """Returns a hash of all values."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).data)
        return digest.hexdigest()

    def spikes_fingerprint(self) -> str:
        """Returns a hash of the spikes alone: the same for the same recording under another name."""
        return hashlib.sha256(np.ascontiguousarray(self.waveforms).data).hexdigest()

    def to_bytes(self) -> bytes:
        """Returns all values: the numbers of spikes and masks, and the arrays one after the other."""
        lengths = np.array([len(self.waveforms), len(self.masks)], '<i8')
        arrays = [getattr(self, name).astype(kind, copy=False) for name, kind in _KINDS.items()]
        return b''.join([lengths.tobytes(), *(array.tobytes() for array in arrays)])

    @classmethod
    def from_bytes(cls, data: bytes) -> CellSpikes:
        """Returns the cell from the bytes that ``to_bytes`` returned, without a copy: read-only.

        Raises
        ------
        ValueError
            If they are other bytes.
        """
        spikes, masks = (int(length) for length in np.frombuffer(data, '<i8', 2))
        arrays, start = {}, 16
        for name, kind in _KINDS.items():
            samples = domain.SPIKE_SAMPLES if kind == '<f4' else 1
            count = (spikes if name in ('waveforms', 'triggers') else masks) * samples
            array = np.frombuffer(data, kind, count, start)
            start += array.nbytes
            arrays[name] = array.reshape(-1, samples) if samples > 1 else array
        if start != len(data):
            raise ValueError(f'{len(data)} bytes, expected {start}')
        return cls(**arrays)
