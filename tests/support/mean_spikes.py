"""CSV files of mean spikes such as ``sero-simulate --waveforms`` reads, made up."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

SAMPLES = 351
# Depth and time of the second, opposite peak in ms, by type.
_SECOND_PEAK = {'E': (0.25, 0.6), 'FS': (0.7, 0.2), 'SOM': (0.5, 0.35)}


def write_mean_spikes(folder: Path, labels: Sequence[str]) -> Path:
    """Writes the files of neurons with these labels: spikes that point upward, intervals of 20 to 60 ms."""
    folder.mkdir()
    time_ms = (np.arange(SAMPLES) - 100) / 100
    rows, shares = [], []
    for label in labels:
        depth, peak_ms = _SECOND_PEAK[label[:3].strip()]
        second = depth * np.exp(-0.5 * ((time_ms - peak_ms) / (0.4 * peak_ms)) ** 2)
        waveform = np.exp(-0.5 * (time_ms / 0.06) ** 2) - second * (time_ms > 0)
        rows.append(waveform / waveform[90:111].max())
        share = np.zeros(100)
        share[20:60] = 1 / 40
        shares.append(share)
    _write(folder / 'waveforms.csv', np.array(rows))
    _write(folder / 'isi_dist.csv', np.array(shares))
    (folder / 'labels.csv').write_text('\n'.join(['label', *labels]) + '\n')
    return folder


def _write(path: Path, rows: np.ndarray) -> None:
    header = ','.join(map(str, range(rows.shape[1])))
    np.savetxt(path, rows, delimiter=',', header=header, comments='', fmt='%.6f')
