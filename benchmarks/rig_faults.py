r"""What becomes of recordings that a rig has spoiled: is the verdict right, withheld, refused or wrong?

    python -m benchmarks.rig_faults --model=demo/synthetic
    python -m benchmarks.rig_faults --model=demo/synthetic --cells=20 --seed=1

Cells of both classes are simulated on days of their own. Each recording is spoiled in each of the ways of
``benchmarks.rigs.faults``, written as an .abf file, and classified. The table counts the cells:

    right       the verdict is the cell's class
    undecided   no verdict
    rejected    not read, with a reason that names the fault
    otherwise   rejected for a reason that does not name the fault
    wrong       a wrong verdict, with a warning or, the worst, in silence

and the spikes: the share of the true ones that was found, and the share of those found that are false. The last line is
one JSON object. All recordings are SIMULATED.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import tempfile

import numpy as np
from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from benchmarks.rigs.faults import FAULTS, Fault

_MODEL = flags.DEFINE_string('model', None, 'Folder of a finished run of sero-train.', required=True)
_CELLS = flags.DEFINE_integer('cells', 10, 'Cells for each fault.', lower_bound=2)
_SECONDS = flags.DEFINE_float('seconds', 30.0, 'Length of a recording, in s.', lower_bound=5.0)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the cells and their noise.', lower_bound=0)

_OUTCOMES = ('right', 'undecided', 'rejected', 'rejected otherwise', 'wrong, warned', 'wrong in silence')
# A trigger this close to a true one is the same spike: a baseline may move it a little along the spike's slope.
_SAME_SPIKE_SAMPLES = 12
_LINE_BANDS_HZ = ((11_500.0, 12_600.0), (14_100.0, 15_200.0))


@dataclasses.dataclass(frozen=True)
class _Cell:
    """A simulated cell: its class, its current before the rig, and the samples of its triggers."""

    name: str
    label_name: str
    current_pa: np.ndarray
    triggers: np.ndarray


@dataclasses.dataclass
class _Row:
    """A row of the table: outcomes by cell, and counts of true, found and false spikes in what was read."""

    outcome: dict[str, str] = dataclasses.field(default_factory=dict)
    true: int = 0
    hit: int = 0
    found: int = 0

    @property
    def hit_share(self) -> float | None:
        return self.hit / self.true if self.true else None

    @property
    def false_share(self) -> float | None:
        return (self.found - self.hit) / self.found if self.found else None


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    from trainer.classify.classifier import load_classifier

    classifier = load_classifier(_MODEL.value)
    cells = _simulate(_CELLS.value, _SECONDS.value, _SEED.value)
    rows = {}
    header = ['fault', *_OUTCOMES, 'spikes found', 'false']
    print('| ' + ' | '.join(header) + ' |\n' + '| --- ' * len(header) + '|')
    with tempfile.TemporaryDirectory() as folder:
        for fault in FAULTS:
            row = rows[fault.name] = _Row()
            for cell in cells:
                _classify(fault, cell, classifier, pathlib.Path(folder), row)
            counts = collections.Counter(row.outcome.values())
            shares = [f'{share:.1%}' if share is not None else '' for share in (row.hit_share, row.false_share)]
            print(
                '| ' + ' | '.join([fault.name, *(str(counts[outcome] or '') for outcome in _OUTCOMES), *shares]) + ' |'
            )
    print(json.dumps(_result(rows)))
    return 0


def _simulate(count: int, seconds: float, seed: int) -> list[_Cell]:
    """Simulates cells of both classes in turns, each on a day of its own."""
    from beam_pipelines.domain import LABEL_NAMES, SAMPLING_RATE_HZ
    from beam_pipelines.simulation import cells as simulated_cells
    from beam_pipelines.simulation import noise
    from beam_pipelines.spikes import published_udi
    from beam_pipelines.spikes.detection import find_triggers

    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        label_name = LABEL_NAMES[number % 2]
        day = noise.draw_day_noise(_LINE_BANDS_HZ[number // 2 % 2], rng)
        udi_ms = float(published_udi.quantile_ms(published_udi.FIGURE_2_COUNTS[label_name], rng.random(1))[0])
        cell = simulated_cells.draw_cell(label_name, udi_ms, day.gain, rng)
        times_s = simulated_cells.spike_times_s(cell, seconds, rng)
        current_pa = noise.background_pa(day, round(seconds * SAMPLING_RATE_HZ), rng)
        simulated_cells.add_spikes(current_pa, cell, times_s, SAMPLING_RATE_HZ, rng)
        current_pa = current_pa.astype(np.float32)
        made.append(_Cell(f'RIG{seed}#{number:03d}', label_name, current_pa, find_triggers(current_pa)))
    return made


def _classify(fault: Fault, cell: _Cell, classifier, folder: pathlib.Path, row: _Row) -> None:
    """Writes one spoiled recording, classifies it, and enters what became of it into the row."""
    import msgspec

    from beam_pipelines.domain import SAMPLING_RATE_HZ
    from beam_pipelines.recordings.abf_writer import write_abf
    from beam_pipelines.recordings.cell_files import RecordingFiles
    from beam_pipelines.recordings.reading_options import ReadingOptions
    from trainer.classify.measured_cell import read_measured_cells

    path = folder / f'{cell.name}.abf'
    write_abf(path, fault.apply(cell.current_pa), SAMPLING_RATE_HZ, unit=fault.unit)
    cutting = msgspec.structs.replace(classifier.info.cutting, polarity='auto')
    files = RecordingFiles('original', 0, cell.name, (str(path),))
    ((measured, report),) = read_measured_cells(files, ReadingOptions(cutting=cutting))
    if measured is None:
        row.outcome[cell.name] = 'rejected' if report.rejected[0].reason in fault.reasons else 'rejected otherwise'
        return
    classified = classifier.classify_cell(measured)
    verdict = classified.result.verdict
    if verdict == cell.label_name:
        row.outcome[cell.name] = 'right'
    elif verdict == 'undecided':
        row.outcome[cell.name] = 'undecided'
    else:
        row.outcome[cell.name] = 'wrong, warned' if classified.result.warnings else 'wrong in silence'
    distance = np.abs(measured.trigger[:, np.newaxis] - cell.triggers)
    row.true += len(cell.triggers)
    row.found += len(measured.trigger)
    row.hit += int((distance.min(axis=0) <= _SAME_SPIKE_SAMPLES).sum())


def _result(rows: dict[str, _Row]) -> dict:
    """Returns the last line: the share of the cells called right unspoiled that are right under each fault, ..."""
    right = {name for name, outcome in rows['none'].outcome.items() if outcome == 'right'}
    undone = [fault.name for fault in FAULTS if fault.can_be_undone]
    still_right = {
        name: sum(rows[name].outcome[cell] == 'right' for cell in right) / max(len(right), 1) for name in undone
    }
    return {
        'right_unspoiled': len(right),
        'share_still_right': still_right,
        'least_share_still_right': min(still_right.values()),
        'least_spikes_found': min(rows[name].hit_share or 0 for name in undone),
        'most_spikes_false': max(rows[name].false_share or 0 for name in undone),
        'wrong_in_silence': sum(
            outcome == 'wrong in silence' for row in rows.values() for outcome in row.outcome.values()
        ),
    }


if __name__ == '__main__':
    run_command('rig_faults', __name__)
