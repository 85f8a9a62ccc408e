"""Tables of others: the mean spikes that ``sero-simulate --waveforms`` reads, and the clusters of phy."""

from __future__ import annotations

import io
import pathlib

import numpy as np

from beam_pipelines.simulation.mean_spikes import read_mean_spikes
from tests.fuzz.mutation import mutate
from tests.fuzz.npy_mutation import mutate_npy
from tests.fuzz.target import Target, target_of_file, write_files
from trainer.classify.phy_export import read_cluster_ids

_NEURONS = 3


def _table(rows: np.ndarray) -> bytes:
    header = ','.join(map(str, range(rows.shape[1])))
    return '\n'.join([header, *(','.join(f'{value:.4g}' for value in row) for row in rows), '']).encode()


def _make_waveforms(folder: pathlib.Path) -> None:
    waveform = np.sin(np.linspace(0, 6, 120)) + np.arange(1, _NEURONS + 1)[:, np.newaxis]
    contents = {
        'waveforms.csv': _table(waveform),
        'isi_dist.csv': _table(np.full((_NEURONS, 20), 0.04)),
        'labels.csv': b'label\nE 4.0\nFS 5.0\nSOM\n',
    }
    write_files(folder, contents)


def _read_waveforms(folder: pathlib.Path) -> None:
    for spike in read_mean_spikes(folder):
        assert np.isfinite(spike.waveform).all() and spike.waveform[spike.trough] == -1
        assert 0 < spike.interval_share.sum() < 1.01


def _make_clusters(folder: pathlib.Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.repeat(np.arange(5, dtype=np.int32), 20))
    table = b'cluster_id\tgroup\n' + b''.join(b'%d\tgood\n' % number for number in range(5))
    write_files(folder, {'spike_clusters.npy': buffer.getvalue(), 'cluster_info.tsv': table})


def _target(name: str) -> Target:
    return target_of_file(name, _make_waveforms, mutate, _read_waveforms)


TARGETS = (
    *map(_target, ('waveforms.csv', 'isi_dist.csv', 'labels.csv')),
    target_of_file('cluster_info.tsv', _make_clusters, mutate, read_cluster_ids),
    target_of_file('spike_clusters.npy', _make_clusters, mutate_npy, read_cluster_ids),
)
