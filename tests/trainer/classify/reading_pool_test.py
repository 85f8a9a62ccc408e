import dataclasses
import os

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.cell_files import RecordingFiles, group_files
from beam_pipelines.recordings.reading_options import ReadingOptions
from tests.support.simulated_current import simulated_current
from trainer.classify.reading_pool import ReadingPool


class _Deadly(RecordingFiles):
    """A recording that ends the process which receives it, as a lack of memory does."""

    def __reduce__(self):
        return os._exit, (9,)


def _recordings(folder, count: int) -> list[RecordingFiles]:
    current_pa, _ = simulated_current(5)
    for number in range(count):
        write_abf(folder / f'A1#{number}.abf', current_pa, 40_000)
    recordings, _ = group_files(('original', 0, str(path)) for path in sorted(folder.glob('*.abf')))
    return recordings


def test_a_reader_that_dies_costs_its_recording_alone(tmp_path):
    recordings = _recordings(tmp_path, 6)
    recordings[1] = _Deadly(
        **{field.name: getattr(recordings[1], field.name) for field in dataclasses.fields(recordings[1])}
    )
    with ReadingPool(ReadingOptions(), 2) as pool:
        outcomes = [outcome for cells in pool.read(recordings) for outcome in cells]
        again = [outcome for cells in pool.read(recordings[:1]) for outcome in cells]
    assert sorted(cell.cell for cell, _ in outcomes if cell) == ['A1#0', 'A1#2', 'A1#3', 'A1#4', 'A1#5']
    (rejected,) = [file for _, report in outcomes for file in report.rejected]
    assert rejected.path.endswith('A1#1.abf') and rejected.reason == 'unreadable' and 'died' in rejected.detail
    assert [cell.cell for cell, _ in again] == ['A1#0']
