r"""Recordings of another laboratory than the simulator's, to try the method on what it was not developed on.

    python -m benchmarks.other_laboratory --output_dir R
    sero-build --recordings R --data_dir D --configs original,non_homogeneous,synthetic_small

It was written after the method was fixed, and nothing in it was chosen by how the networks do on it. It shares neither
spikes nor noise with ``sero-simulate``:

    spikes      model neurons of conductances, each spike integrated on its own: `benchmarks.model_neurons`
    amplifier   a 4-pole Bessel filter of 4 to 10 kHz that differs from day to day, and an ADC step
    noise       a power law and white noise, synaptic events that decay exponentially, hum with two harmonics, and a
                wandering baseline; all drawn anew each day, whatever the classes of its cells

In ``original`` there are 153 cells on 23 days. A day has as many cells of each class as a published day, so six days
hold both. In ``non_homogeneous`` there are 81 cells on 27 other days, three a day at random. A recording takes about 20
to 40 s and has 60 to 150 spikes.

    ROOT/{original,non_homogeneous}/{SER,NSER}/LAB0001#001.abf    one cell each, 40 kHz, pA
    ROOT/SIMULATED.json                                           the ground truth, written last

SIMULATED.json holds ``format_version``, ``source`` ('simulated'), ``profile`` ('other_laboratory'), ``seed``, ``days``
(the rig of each day) and ``recordings``, a list of ``path``, ``cell``, ``day``, ``set``, ``label``, ``seconds``,
``amplitude_pa``, ``neuron``, ``spikes`` (how many) and ``waveform`` (the mean spike after the filter, without noise:
160 samples at 40 kHz as a share of the trough, which is sample 40).

The last line is one JSON object. Its ``nearest_centroid`` says how far the shape tells the classes apart: the share of
the cells whose ``waveform`` is closer to the mean of their own class, from which they are left out, than to the other.
The recordings are SIMULATED, and results on them say nothing about real neurons.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags
from scipy import fft, signal

from beam_pipelines.cli.command import refuse_arguments, refuse_urls, run_command
from beam_pipelines.domain import LABEL_NAMES, SAMPLES_BEFORE_TRIGGER, SAMPLING_RATE_HZ, SPIKE_SAMPLES
from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.published_cells import published_cells
from beam_pipelines.recordings.sources import SIMULATED
from beam_pipelines.simulation.root import write_recordings, write_root
from beam_pipelines.storage.atomic_files import write_text
from benchmarks.model_neurons import RATE_HZ, Neuron, draw_neuron, patch_currents
from benchmarks.real_shapes import nearest_centroid_left_out

FORMAT_VERSION = 1

_CELLS_OF_OTHER_DAYS = {'SER': 55, 'NSER': 26}
_CELLS_A_DAY = 3
_SECONDS, _SPIKES = (20.0, 40.0), (60, 150)
# A spike is integrated for 16 ms, so spikes never overlap.
_SHORTEST_INTERVAL_S, _BEFORE_FIRST_S, _AFTER_LAST_S = 0.025, 0.2, 0.1
_INTERVAL_CV = {'SER': (0.15, 0.5), 'NSER': (0.3, 0.9)}
_LEAST_PA, _MOST_PA = 60.0, 200.0
_LEAST_SHARE_OF_MEDIAN = 0.5
_SAMPLES_PER_SAMPLE = RATE_HZ // SAMPLING_RATE_HZ
_LEAST_NOISE_HZ = 5.0  # what is slower is the wandering of the baseline
_HUM_SHARES = {50.0: 1.0, 100.0: 0.25, 150.0: 0.5}
_WANDERING_S = 2.0


@dataclasses.dataclass(frozen=True)
class Rig:
    """What is the same for the cells of a day.

    Attributes
    ----------
    cutoff_hz : of the amplifier's filter, at -3 dB.
    adc_step_pa : what one count of the ADC is.
    white_pa : standard deviation of the white noise within 20 kHz, before the filter.
    coloured_pa, exponent : standard deviation above 5 Hz of the noise whose power falls as 1 / f**exponent.
    event_rate_hz, event_pa, event_ms : rate, mean size and decay of the synaptic events, of either sign.
    hum_pa : amplitude at 50 Hz.
    wandering_pa : standard deviation of the baseline.
    """

    cutoff_hz: float
    adc_step_pa: float
    white_pa: float
    coloured_pa: float
    exponent: float
    event_rate_hz: float
    event_pa: float
    event_ms: float
    hum_pa: float
    wandering_pa: float


@dataclasses.dataclass(frozen=True)
class Day:
    """A recording day of a set, and the class of each of its cells."""

    name: str
    recording_set: str
    label_names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class _Recording:
    """One recording to make: the current of its spikes, (n, 1920) float32 at `RATE_HZ`, and when each begins."""

    day: Day
    rig: Rig
    number: int
    neuron: Neuron
    amplitude_pa: float
    begin_s: np.ndarray
    current: np.ndarray
    seconds: float

    @property
    def label_name(self) -> str:
        return self.day.label_names[self.number - 1]

    @property
    def cell_id(self) -> str:
        return f'{self.day.name}#{self.number:03d}'

    @property
    def path(self) -> str:
        return f'{self.day.recording_set}/{self.label_name}/{self.cell_id}.abf'


def define_flags() -> None:
    flags.DEFINE_string('output_dir', None, 'Recordings root to make: a folder that is empty or absent.', required=True)
    flags.DEFINE_integer('seed', 0, 'Seed; the same seed gives the same recordings.', lower_bound=0)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    refuse_urls('output_dir')
    seed = flags.FLAGS.seed
    root = make_recordings(flags.FLAGS.output_dir, draw_days(seed), seed)
    truth = json.loads((root / SIMULATED.root_file).read_text(encoding='utf-8'))
    cells = truth['recordings']
    waveform = np.array([cell['waveform'] for cell in cells])
    label = np.array([LABEL_NAMES.index(cell['label']) for cell in cells])
    result = {
        'cells': collections.Counter(f'{cell["set"]}/{cell["label"]}' for cell in cells),
        'days': len(truth['days']),
        'nearest_centroid': round(float(np.mean(nearest_centroid_left_out(waveform, label) == label)), 4),
    }
    print(root)
    print(json.dumps(result))
    return 0


def draw_days(seed: int) -> list[Day]:
    """Returns the days of both sets: of the published days the classes of their cells, and other days of three."""
    published: dict[str, list[str]] = {}
    for cell in published_cells():
        published.setdefault(cell.day, []).append(cell.label_name)
    days = [Day(f'LAB{i:04d}', 'original', names) for i, names in enumerate(published.values(), start=1)]
    others = np.repeat(list(_CELLS_OF_OTHER_DAYS), list(_CELLS_OF_OTHER_DAYS.values()))
    others = np.random.default_rng([seed, 0]).permutation(others).tolist()
    for i, first in enumerate(range(0, len(others), _CELLS_A_DAY), start=1001):
        days.append(Day(f'LAB{i}', 'non_homogeneous', others[first : first + _CELLS_A_DAY]))
    return days


def make_recordings(output_dir: str | os.PathLike, days: Sequence[Day], seed: int = 0) -> Path:
    """Writes the recordings of the days, whole or not at all, and returns their root.

    Raises
    ------
    UserError
        If ``output_dir`` is not empty or cannot be written.
    """

    def write(root: Path) -> None:
        rigs = {day.name: _draw_rig(np.random.default_rng([seed, 1, *day.name.encode()])) for day in days}
        recordings = [recording for day in days for recording in _spikes_of_day(day, rigs[day.name], seed)]
        for recording in recordings:
            (root / recording.path).parent.mkdir(parents=True, exist_ok=True)
        truths = write_recordings(recordings, lambda recording: _write_recording(root, recording, seed), None)
        truth = {
            'format_version': FORMAT_VERSION,
            'source': SIMULATED.name,
            'profile': 'other_laboratory',
            'seed': seed,
            'days': {name: dataclasses.asdict(rig) for name, rig in rigs.items()},
            'recordings': truths,
        }
        write_text(root / SIMULATED.root_file, json.dumps(truth, separators=(',', ':')) + '\n')

    return write_root(output_dir, write)


def _draw_rig(rng: np.random.Generator) -> Rig:
    return Rig(
        cutoff_hz=float(np.exp(rng.uniform(*np.log([4_000, 10_000])))),
        adc_step_pa=float(rng.choice([0.061, 0.122, 0.244])),
        white_pa=float(rng.uniform(2.0, 5.0)),
        coloured_pa=float(rng.uniform(0.8, 2.5)),
        exponent=float(rng.uniform(0.6, 1.6)),
        event_rate_hz=float(rng.uniform(2.0, 15.0)),
        event_pa=float(rng.uniform(2.0, 6.0)),
        event_ms=float(rng.uniform(2.0, 8.0)),
        hum_pa=float(rng.uniform(0.0, 4.0)),
        wandering_pa=float(rng.uniform(1.0, 8.0)),
    )


def _spikes_of_day(day: Day, rig: Rig, seed: int) -> list[_Recording]:
    """Draws the neurons of a day and integrates their spikes, those of all neurons at the same time."""
    rng = np.random.default_rng([seed, 2, *day.name.encode()])
    neurons = [draw_neuron(name, rng) for name in day.label_names]
    intervals = [_intervals_s(name, rng) for name in day.label_names]
    current = patch_currents(neurons, intervals, rng)
    of_neuron = np.split(current, np.cumsum([interval.size for interval in intervals])[:-1])
    return [
        _Recording(
            day,
            rig,
            number,
            neuron,
            amplitude_pa=float(np.clip(rng.lognormal(np.log(100), 0.25), 75, 170)),
            begin_s=_BEFORE_FIRST_S + np.cumsum(interval) - interval[0],
            current=spikes,
            seconds=float(np.ceil(_BEFORE_FIRST_S + np.sum(interval[1:]) + _AFTER_LAST_S)),
        )
        for number, (neuron, interval, spikes) in enumerate(zip(neurons, intervals, of_neuron, strict=True), start=1)
    ]


def _intervals_s(label_name: str, rng: np.random.Generator) -> np.ndarray:
    """Draws the interval before each spike of a recording: gamma intervals that fill its length."""
    n_spikes = int(rng.integers(_SPIKES[0], _SPIKES[1] + 1))
    shape = rng.uniform(*_INTERVAL_CV[label_name]) ** -2
    interval = rng.gamma(shape, size=n_spikes)
    free_s = rng.uniform(*_SECONDS) - _BEFORE_FIRST_S - _AFTER_LAST_S - n_spikes * _SHORTEST_INTERVAL_S
    return _SHORTEST_INTERVAL_S + interval * free_s / interval.sum()


def _write_recording(root: Path, recording: _Recording, seed: int) -> dict:
    """Writes one recording and returns its entry in SIMULATED.json."""
    rig = recording.rig
    rng = np.random.default_rng([seed, 3, *recording.cell_id.encode()])
    bessel = signal.bessel(4, rig.cutoff_hz, fs=RATE_HZ, output='sos', norm='mag')
    filtered = signal.sosfilt(bessel, recording.current, axis=1)
    depth = -filtered.min(axis=1)
    # A drive that is too weak gives no spike, and must not become one by the gain.
    fired = depth > _LEAST_SHARE_OF_MEDIAN * np.median(depth)
    spikes, filtered, depth = recording.current[fired], filtered[fired], depth[fired]
    gain = _depths_pa(recording, depth, rng) / depth
    current_pa = _background_pa(rig, round(recording.seconds * RATE_HZ), rng)
    first = np.round(recording.begin_s[fired] * RATE_HZ).astype(np.int64)
    current_pa[first[:, np.newaxis] + np.arange(spikes.shape[1])] += gain[:, np.newaxis] * spikes
    current_pa = signal.sosfilt(bessel, current_pa)[::_SAMPLES_PER_SAMPLE]
    write_abf(
        root / recording.path,
        np.round(current_pa / rig.adc_step_pa) * rig.adc_step_pa,
        SAMPLING_RATE_HZ,
        SIMULATED.abf_comment,
    )
    return {
        'path': recording.path,
        'cell': recording.cell_id,
        'day': recording.day.name,
        'set': recording.day.recording_set,
        'label': recording.label_name,
        'seconds': recording.seconds,
        'amplitude_pa': recording.amplitude_pa,
        'neuron': dataclasses.asdict(recording.neuron),
        'spikes': len(first),
        'waveform': [round(float(share), 5) for share in _mean_waveform(gain[:, np.newaxis] * filtered)],
    }


def _depths_pa(recording: _Recording, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns how deep each spike is in pA: as in the model, times a slow change of the seal and small random ones."""
    change = rng.uniform(-0.12, 0.12) * np.linspace(-1, 1, depth.size) + 0.03 * rng.standard_normal(depth.size)
    return np.clip(recording.amplitude_pa * depth / depth.mean() * (1 + change), _LEAST_PA, _MOST_PA)


def _mean_waveform(spikes: np.ndarray) -> np.ndarray:
    """Returns the mean of spikes at `RATE_HZ`: (160,) float at 40 kHz, as a share of its trough, sample 40."""
    place = _SAMPLES_PER_SAMPLE * (np.arange(SPIKE_SAMPLES) - SAMPLES_BEFORE_TRIGGER)
    mean = np.take_along_axis(spikes, spikes.argmin(axis=1)[:, np.newaxis] + place, axis=1).mean(axis=0)
    return mean / -mean.min()


def _background_pa(rig: Rig, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the noise of a recording before the filter: (n_samples,) float32 in pA at `RATE_HZ`."""
    time_s = np.arange(n_samples) / RATE_HZ
    noise_pa = rig.white_pa * np.sqrt(RATE_HZ / SAMPLING_RATE_HZ) * rng.standard_normal(n_samples, np.float32)
    noise_pa += _coloured_pa(rig, n_samples, rng)
    noise_pa += _events_pa(rig, n_samples, rng)
    for hz, share in _HUM_SHARES.items():
        noise_pa += rig.hum_pa * share * np.sin(2 * np.pi * (hz * time_s + rng.random()))
    knots_s = np.arange(0, time_s[-1] + 2 * _WANDERING_S, _WANDERING_S)
    noise_pa += rig.wandering_pa * np.interp(time_s, knots_s, rng.standard_normal(knots_s.size))
    return noise_pa


def _coloured_pa(rig: Rig, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns noise whose power falls as 1 / f**exponent, by its spectrum."""
    length = fft.next_fast_len(n_samples, real=True)
    hz = fft.rfftfreq(length, 1 / RATE_HZ)
    size = np.where(hz >= _LEAST_NOISE_HZ, np.maximum(hz, _LEAST_NOISE_HZ) ** (-rig.exponent / 2), 0).astype(np.float32)
    parts = rng.standard_normal((2, hz.size), np.float32)
    noise = fft.irfft(size * (parts[0] + 1j * parts[1]), length)[:n_samples]
    return noise * (rig.coloured_pa / noise.std())


def _events_pa(rig: Rig, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns synaptic events at random times, of exponential sizes, which jump and decay exponentially."""
    jumps = np.zeros(n_samples, np.float32)
    n_events = rng.poisson(rig.event_rate_hz * n_samples / RATE_HZ)
    size_pa = rng.exponential(rig.event_pa, n_events) * rng.choice([-1, 1], n_events)
    np.add.at(jumps, rng.integers(n_samples, size=n_events), size_pa)
    return signal.lfilter([1], [1, -np.exp(-1e3 / (rig.event_ms * RATE_HZ))], jumps)


def run() -> None:
    define_flags()
    run_command('python -m benchmarks.other_laboratory', __name__)


if __name__ == '__main__':
    run()
