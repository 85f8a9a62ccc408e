"""Simulated recordings: a recordings root of real ``.abf`` files in which every spike is known.

They stand in for the published recordings, and have their folders, numbers of cells, spike widths and kind of noise:

    ROOT/{original,non_homogeneous}/{SER,NSER}/SIM0001#001.abf    one cell each, 40 kHz, pA
    ROOT/SIMULATED.json                                           the ground truth, written last

In ``original`` the cells of a day are mostly of one class, and the tone in the day's noise lies in a band that depends
on that class: a network can learn the class from the noise. In ``non_homogeneous`` each day holds both classes, and
its tone lies in either band, so this shortcut fails. The synthetic spikes are meant to prevent it.

The profile ``paper`` has the confound of the published recordings instead. Its ``original`` cells are the 153 published
ones: their ids, their 23 days and their numbers of spikes. The noise of a day does not depend on the classes of its
cells, so it tells the class only as far as the day does: that of 138 of the 153 cells.

SIMULATED.json holds ``format_version``, ``source`` ('simulated'), ``profile``, ``seed``, ``parameters``, ``days`` (the
noise of each day) and ``recordings``, a list of

- ``path`` (relative to ROOT, with ``/``), ``cell``, ``day``, ``set``, ``label``, ``seconds`` (its length);
- ``udi_ms``, ``amplitude_pa`` and the cell's other traits, for its mean spike without noise;
- ``spike_samples``, one entry per spike: the sample index of its trigger, the first sample at or below -50 pA after one
  above it, in the current that a reader of the file gets (with noise, in whole counts); ``null`` if the spike does not
  reach -50 pA;
- ``trough_pa``, one entry per spike: its lowest sample, in the same current.

Spikes are at least 20 ms apart, and every window lies within the recording, so a detector drops none.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from beam_pipelines.domain import LABEL_NAMES, RECORDING_SETS, SAMPLING_RATE_HZ, TRIGGER_PA
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.published_cells import SOURCE
from beam_pipelines.recordings.sources import SIMULATED
from beam_pipelines.simulation import cells as simulated_cells
from beam_pipelines.simulation import noise as simulated_noise
from beam_pipelines.simulation.days import invented_days, published_days
from beam_pipelines.simulation.root import write_recordings, write_root
from beam_pipelines.spikes import published_udi
from beam_pipelines.storage.atomic_files import write_text

FORMAT_VERSION = 1

# Where the high tone of a day's noise lies, see `days`.
LINE_BANDS_HZ = {'SER': (11_500.0, 12_600.0), 'NSER': (14_100.0, 15_200.0)}

# A spike's trigger and lowest sample are searched within these limits around its trough.
_SAMPLES_BEFORE_TROUGH, _SAMPLES_AFTER_TROUGH = 24, 12


@dataclasses.dataclass(frozen=True)
class Profile:
    """How much to simulate.

    Attributes
    ----------
    n_cells : dict
        Cells by set and class.
    seconds : float
        Length of each recording; with ``has_published_cells``, what the lengths of ``original`` are about.
    has_published_cells : bool
        Whether ``original`` is the published cells, days and numbers of spikes, instead of invented ones.
    """

    name: str
    n_cells: dict[str, dict[str, int]]
    seconds: float
    has_published_cells: bool = False

    def to_json(self) -> dict[str, object]:
        """Returns what SIMULATED.json says of the profile."""
        content: dict[str, object] = {'name': self.name, 'n_cells': self.n_cells, 'seconds': self.seconds}
        if self.has_published_cells:
            content['original'] = f'cells, days and numbers of spikes of the published list: {SOURCE}'
        return content


PROFILES = {
    'demo': Profile(
        'demo', {'original': {'SER': 24, 'NSER': 16}, 'non_homogeneous': {'SER': 12, 'NSER': 8}}, seconds=30.0
    ),
    'paper': Profile(
        'paper',
        {'original': {'SER': 108, 'NSER': 45}, 'non_homogeneous': {'SER': 55, 'NSER': 26}},
        seconds=100.0,
        has_published_cells=True,
    ),
}


@dataclasses.dataclass(frozen=True)
class _Recording:
    """One recording to make; ``index`` numbers all recordings of a root and seeds this one's random numbers.

    Its length follows from ``n_spikes``; if that is None, its spikes follow from the length that the profile has.
    """

    index: int
    recording_set: str
    label_name: str
    day: str
    cell_id: str
    udi_ms: float
    n_spikes: int | None = None

    @property
    def path(self) -> str:
        return f'{self.recording_set}/{self.label_name}/{self.cell_id}.abf'


def simulate(output_dir: str | os.PathLike, profile: str | Profile, seed: int = 0, workers: int | None = None) -> Path:
    """Writes simulated recordings, whole or not at all, and returns their root.

    The same profile and seed give the same bytes in every file, whatever the number of workers.

    Parameters
    ----------
    output_dir : str or PathLike
        The recordings root to make; may exist if it is an empty folder.
    profile : str or Profile
        A name in `PROFILES`, or another profile.
    seed : int
        Not negative.
    workers : int, optional
        How many recordings to make at the same time; by default one per core.

    Raises
    ------
    UserError
        If ``output_dir`` is not empty or cannot be written, or the profile is unknown.
    """
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise UserError(f'unknown profile {profile!r}; there are {", ".join(PROFILES)}')
        profile = PROFILES[profile]
    chosen = profile
    return write_root(output_dir, lambda root: _fill_root(root, chosen, seed, workers))


def _fill_root(root: Path, profile: Profile, seed: int, workers: int | None) -> None:
    noise_of_day, recordings = _plan(profile, seed)
    for recording in recordings:
        (root / recording.path).parent.mkdir(parents=True, exist_ok=True)
    truths = write_recordings(
        recordings,
        lambda recording: _write_recording(root, recording, noise_of_day[recording.day], profile.seconds, seed),
        workers,
    )
    truth = {
        'format_version': FORMAT_VERSION,
        'source': SIMULATED.name,
        'profile': profile.name,
        'seed': seed,
        'parameters': {
            'profile': profile.to_json(),
            'class_traits': {name: dataclasses.asdict(traits) for name, traits in simulated_cells.CLASS_TRAITS.items()},
            'spike_variation': dataclasses.asdict(simulated_cells.SPIKE_VARIATION),
            'line_bands_hz': LINE_BANDS_HZ,
        },
        'days': {day: dataclasses.asdict(noise) for day, noise in noise_of_day.items()},
        'recordings': truths,
    }
    write_text(root / SIMULATED.root_file, json.dumps(truth, separators=(',', ':')) + '\n')


def _plan(profile: Profile, seed: int) -> tuple[dict[str, simulated_noise.DayNoise], list[_Recording]]:
    """Distributes the cells of each set over days, and draws the days' noise and the cells' spike widths."""
    noise_of_day = {}
    recordings: list[_Recording] = []
    for set_index, recording_set in enumerate(RECORDING_SETS):
        rng = np.random.default_rng([seed, 0, set_index])
        n_cells = profile.n_cells[recording_set]
        udi_ms = {name: list(_draw_udi_ms(name, n_cells[name], rng)) for name in LABEL_NAMES}
        if recording_set == 'original' and profile.has_published_cells:
            days = published_days(rng)
        else:
            days = invented_days(recording_set, n_cells, rng)
        for day in days:
            noise_of_day[day.name] = simulated_noise.draw_day_noise(LINE_BANDS_HZ[day.band], rng)
            for label_name, cell_id, n_spikes in day.cells:
                recordings.append(
                    _Recording(
                        index=len(recordings),
                        recording_set=recording_set,
                        label_name=label_name,
                        day=day.name,
                        cell_id=cell_id,
                        udi_ms=udi_ms[label_name].pop(),
                        n_spikes=n_spikes,
                    )
                )
    return noise_of_day, recordings


def _draw_udi_ms(label_name: str, n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """Draws one UDI per cell from the published histogram: one from each of ``n_cells`` equal shares of it."""
    levels = (rng.permutation(n_cells) + rng.random(n_cells)) / max(1, n_cells)
    return published_udi.quantile_ms(published_udi.FIGURE_2_COUNTS[label_name], levels)


def _write_recording(
    root: Path, recording: _Recording, noise: simulated_noise.DayNoise, seconds: float, seed: int
) -> dict:
    """Writes one recording and returns its entry in SIMULATED.json."""
    rng = np.random.default_rng([seed, 1, recording.index])
    cell = simulated_cells.draw_cell(recording.label_name, recording.udi_ms, noise.gain, rng)
    if recording.n_spikes is None:
        times_s = simulated_cells.spike_times_s(cell, seconds, rng)
    else:
        cell = simulated_cells.firing_so_often(cell, recording.n_spikes, seconds)
        times_s, seconds = simulated_cells.counted_spike_times_s(cell, recording.n_spikes, rng)
    current_pa = simulated_noise.background_pa(noise, round(seconds * SAMPLING_RATE_HZ), rng)
    simulated_cells.add_spikes(current_pa, cell, times_s, SAMPLING_RATE_HZ, rng)
    as_read_pa = write_abf(root / recording.path, current_pa, SAMPLING_RATE_HZ, SIMULATED.abf_comment)
    trigger, trough_pa = _triggers(as_read_pa, times_s)
    traits = {k: v for k, v in dataclasses.asdict(cell).items() if k != 'label_name'}
    return {
        'path': recording.path,
        'cell': recording.cell_id,
        'day': recording.day,
        'set': recording.recording_set,
        'label': recording.label_name,
        'seconds': seconds,
        **traits,
        'spike_samples': trigger,
        'trough_pa': trough_pa,
    }


def _triggers(current_pa: np.ndarray, times_s: np.ndarray) -> tuple[list[int | None], list[float]]:
    """Returns each spike's trigger (None if it has none) and its lowest sample in pA; ``times_s`` are the troughs."""
    trough = np.round(times_s * SAMPLING_RATE_HZ).astype(np.int64)
    sample = trough[:, np.newaxis] + np.arange(-_SAMPLES_BEFORE_TROUGH, _SAMPLES_AFTER_TROUGH)
    spikes_pa = current_pa[sample]
    below = spikes_pa <= TRIGGER_PA
    first = sample[:, 0] + np.argmax(below, axis=1)
    has_trigger = np.asarray(below.any(axis=1))
    trigger = [int(index) if found else None for index, found in zip(first, has_trigger, strict=True)]
    return trigger, [round(float(pa), 3) for pa in spikes_pa.min(axis=1)]
