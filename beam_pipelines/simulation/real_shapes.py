"""Recordings of real spike shapes under simulated noise: the mean spikes of real neurons, which fire again.

    ROOT/original/{SER,NSER}/REAL0001#FS007.abf    one neuron each, 40 kHz, pA; 7 is its row in the CSV files
    ROOT/REAL_SHAPES.json                          the ground truth, written last

The shape of each neuron's spikes, its type and the intervals between its spikes are real. The scale in pA, the small
changes of the amplitude, the background noise and the recording days are simulated, in the same way for all types: the
neurons are dealt out to the days at random, and the noise of a day says nothing about them. None of the neurons is a
raphe neuron: SER and NSER stand for other types, as ``types_of_label`` in REAL_SHAPES.json says.

The spikes are placed at 100 kHz and the current is then brought to 40 kHz, so that the triggers have any phase. Before
and after the stored 3.5 ms a spike fades exponentially. The histograms of intervals end at 100 ms: a longer interval is
drawn between 100 and 200 ms.

REAL_SHAPES.json holds ``format_version``, ``source`` ('real_shapes'), ``waveforms`` (the folder of the CSV files),
``seed``, ``types_of_label``, ``days`` (the noise of each day) and ``recordings``, a list of ``path``, ``cell``,
``day``, ``set``, ``label``, ``type``, ``row``, ``seconds``, ``amplitude_pa``, ``drift``, ``waveform`` (160 samples at
40 kHz without noise, as a share of the trough, which is sample 40) and ``trough_samples`` (one entry per spike).
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from beam_pipelines.domain import LABEL_NAMES, SAMPLES_BEFORE_TRIGGER, SAMPLING_RATE_HZ, SPIKE_SAMPLES
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.recording import RecordedCurrent, at_40_khz
from beam_pipelines.recordings.sources import REAL_SHAPES
from beam_pipelines.simulation.cells import draw_amplitude_pa, draw_drift, spike_amplitudes_pa
from beam_pipelines.simulation.mean_spikes import (
    CELL_TYPES,
    INTERVAL_BIN_MS,
    WAVEFORM_RATE_HZ,
    MeanSpike,
    read_mean_spikes,
)
from beam_pipelines.simulation.noise import DayNoise, background_pa, draw_day_noise
from beam_pipelines.simulation.recordings import LINE_BANDS_HZ
from beam_pipelines.simulation.root import write_recordings, write_root
from beam_pipelines.storage.atomic_files import write_text

FORMAT_VERSION = 1

_SPIKES = 60
_FEWEST_CELLS_A_DAY, _MOST_CELLS_A_DAY = 2, 4
# Quiet stretches of a second give every cell some noise masks, however fast it fires.
_BEFORE_FIRST_S, _AFTER_LAST_S = 1.0, 0.05
_LONGEST_INTERVAL_MS = 200.0
_FADE_TIME_CONSTANT_MS, _FADE_MS = 1.0, 8.0


@dataclasses.dataclass(frozen=True)
class _Recording:
    """One recording to make."""

    spike: MeanSpike
    label_name: str
    day: str

    @property
    def cell_id(self) -> str:
        return f'{self.day}#{self.spike.cell_type}{self.spike.row:03d}'

    @property
    def path(self) -> str:
        return f'original/{self.label_name}/{self.cell_id}.abf'


def parse_pair(text: str) -> dict[str, tuple[str, ...]]:
    """Returns the types of neuron that play each class, from text such as ``E,FS+SOM``.

    Raises
    ------
    UserError
        If these are not two groups of different known types.
    """
    groups = [tuple(group.split('+')) for group in text.split(',')]
    named = [name for group in groups for name in group]
    if len(groups) != len(LABEL_NAMES) or len(set(named)) < len(named) or not set(named) <= set(CELL_TYPES):
        raise UserError(
            f'expected the types that play SER and NSER, of {", ".join(CELL_TYPES)}, as in E,FS or E,FS+SOM',
            field='--pair',
            value=text,
        )
    return dict(zip(LABEL_NAMES, groups, strict=True))


def make_recordings(
    output_dir: str | os.PathLike, waveforms: str | os.PathLike, pair: str, seed: int = 0, workers: int | None = None
) -> Path:
    """Writes recordings of real spike shapes under simulated noise, whole or not at all, and returns their root.

    The same files, pair and seed give the same bytes, whatever the number of workers.

    Parameters
    ----------
    output_dir : the recordings root to make; may exist if it is an empty folder.
    waveforms : folder with the CSV files of `mean_spikes`.
    pair : see `parse_pair`.
    seed : of the days, the noise, the amplitudes and the intervals.
    workers : how many recordings to make at the same time; by default one per core.

    Raises
    ------
    UserError
        If the CSV files or the pair cannot be used, there are no neurons of a class, or ``output_dir`` is not empty or
        cannot be written.
    """
    types_of_label = parse_pair(pair)
    spikes = read_mean_spikes(waveforms)
    noise_of_day, recordings = _plan(spikes, types_of_label, seed)
    for label_name, types in types_of_label.items():
        if not any(recording.label_name == label_name for recording in recordings):
            raise UserError(f'holds no neuron of type {" or ".join(types)}', file=waveforms)

    def write(root: Path) -> None:
        for label_name in LABEL_NAMES:
            (root / 'original' / label_name).mkdir(parents=True)
        truths = write_recordings(
            recordings, lambda recording: _write_recording(root, recording, noise_of_day[recording.day], seed), workers
        )
        truth = {
            'format_version': FORMAT_VERSION,
            'source': REAL_SHAPES.name,
            'waveforms': os.path.abspath(waveforms),
            'seed': seed,
            'types_of_label': types_of_label,
            'days': {day: dataclasses.asdict(noise) for day, noise in noise_of_day.items()},
            'recordings': truths,
        }
        write_text(root / REAL_SHAPES.root_file, json.dumps(truth, separators=(',', ':')) + '\n')

    return write_root(output_dir, write)


def _plan(
    spikes: Sequence[MeanSpike], types_of_label: Mapping[str, Sequence[str]], seed: int
) -> tuple[dict[str, DayNoise], list[_Recording]]:
    """Deals the neurons of the wanted types out to days at random, and draws the noise of each day."""
    label_of = {cell_type: label_name for label_name, types in types_of_label.items() for cell_type in types}
    rng = np.random.default_rng([seed, 0])
    wanted = [spike for spike in spikes if spike.cell_type in label_of]
    noise_of_day: dict[str, DayNoise] = {}
    recordings: list[_Recording] = []
    left = [wanted[place] for place in rng.permutation(len(wanted))]
    while left:
        day = f'REAL{len(noise_of_day) + 1:04d}'
        band = LABEL_NAMES[rng.integers(len(LABEL_NAMES))]
        noise_of_day[day] = draw_day_noise(LINE_BANDS_HZ[band], rng)
        today = int(rng.integers(_FEWEST_CELLS_A_DAY, _MOST_CELLS_A_DAY + 1))
        recordings += [_Recording(spike, label_of[spike.cell_type], day) for spike in left[:today]]
        left = left[today:]
    return noise_of_day, recordings


def _write_recording(root: Path, recording: _Recording, noise: DayNoise, seed: int) -> dict:
    """Writes one recording and returns its entry in REAL_SHAPES.json."""
    spike = recording.spike
    rng = np.random.default_rng([seed, 1, spike.row])
    amplitude_pa, drift = draw_amplitude_pa(noise.gain, rng), draw_drift(rng)
    trough_s = _BEFORE_FIRST_S + np.cumsum(_intervals_s(spike.interval_share, _SPIKES, rng))
    seconds = round(float(trough_s[-1]) + _AFTER_LAST_S, 3)
    depth_pa = spike_amplitudes_pa(amplitude_pa, drift, trough_s / seconds, rng)
    current_pa = _spikes_at_40_khz(spike, trough_s, depth_pa, seconds)
    current_pa += background_pa(noise, current_pa.size, rng)
    write_abf(root / recording.path, current_pa, SAMPLING_RATE_HZ, REAL_SHAPES.abf_comment)
    return {
        'path': recording.path,
        'cell': recording.cell_id,
        'day': recording.day,
        'set': 'original',
        'label': recording.label_name,
        'type': spike.cell_type,
        'row': spike.row,
        'seconds': seconds,
        'amplitude_pa': amplitude_pa,
        'drift': drift,
        'waveform': [round(float(share), 5) for share in waveform_at_40_khz(spike)],
        'trough_samples': np.round(trough_s * SAMPLING_RATE_HZ).astype(int).tolist(),
    }


def waveform_at_40_khz(spike: MeanSpike) -> np.ndarray:
    """Returns a neuron's spike without noise: (160,) float32, as a share of its trough, which is sample 40."""
    trough_s = 0.05
    current = _spikes_at_40_khz(spike, np.array([trough_s]), np.ones(1), 2 * trough_s)
    first = round(trough_s * SAMPLING_RATE_HZ) - SAMPLES_BEFORE_TRIGGER
    return current[first : first + SPIKE_SAMPLES]


def _spikes_at_40_khz(spike: MeanSpike, trough_s: np.ndarray, depth_pa: np.ndarray, seconds: float) -> np.ndarray:
    """Returns a current without noise, (n,) float32 in pA at 40 kHz, with a spike at each of the troughs."""
    n_fade = round(_FADE_MS * 1e-3 * WAVEFORM_RATE_HZ)
    fade = np.exp(-np.arange(1, n_fade + 1) / (_FADE_TIME_CONSTANT_MS * 1e-3 * WAVEFORM_RATE_HZ))
    waveform = np.concatenate([spike.waveform[0] * fade[::-1], spike.waveform, spike.waveform[-1] * fade])
    first = np.round(trough_s * WAVEFORM_RATE_HZ).astype(np.int64) - spike.trough - n_fade
    current_pa = np.zeros(round(seconds * WAVEFORM_RATE_HZ), np.float32)
    # Spikes of a burst overlap, and add up.
    np.add.at(current_pa, first[:, np.newaxis] + np.arange(waveform.size), depth_pa[:, np.newaxis] * waveform)
    (at_40_khz_pa,) = at_40_khz(RecordedCurrent([current_pa], WAVEFORM_RATE_HZ), resample=True).sweeps
    return at_40_khz_pa


def _intervals_s(share: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws intervals from a neuron's histogram; the share that it lacks is of longer intervals."""
    edges_ms = np.append(np.arange(share.size + 1) * INTERVAL_BIN_MS, _LONGEST_INTERVAL_MS)
    level = np.append(np.concatenate([[0.0], np.cumsum(share)]), 1.0)
    return np.interp(rng.random(count), np.minimum(level, 1.0), edges_ms) * 1e-3
