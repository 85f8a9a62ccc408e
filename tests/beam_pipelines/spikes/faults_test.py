"""Whatever goes wrong with one file rejects that file, with its reason, and the others are read."""

import pytest

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, ReadingOptions
from beam_pipelines.spikes import extraction
from beam_pipelines.spikes.extraction import extract_cells
from tests.support.places import SHARED
from tests.support.requirements import needs_shared
from tests.support.simulated_current import simulated_current


def _extract(*paths):
    """Returns the ids of the used cells, and {path: (reason, detail)} of the rejected files."""
    recordings, rejected = group_files(('original', 0, str(path)) for path in paths)
    reports = [one for recording in recordings for one in extract_cells(recording, 0, 10, ReadingOptions())]
    files = [file for _, file in rejected] + [file for _, _, report in reports for file in report.rejected]
    used = [cell_id for cell_id, spikes, _ in reports if spikes is not None]
    return used, {file.path: (file.reason, file.detail) for file in files}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good#1.abf'
    write_abf(path, simulated_current(5)[0], 40_000)
    return path


@needs_shared
@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('variable_sweeps_one_byte.abf', 'bad_header'),
        ('bomb_epochs400_sweeps10000.abf', 'bad_header'),
        ('esc_units_abf1.abf', 'wrong_unit'),
        ('float_abf1.abf', None),
        ('points_ignored_1.abf', None),
        ('spike_in_amperes_trigger_1007585.csv', 'bad_name'),
        ('time_not_rising.csv', 'bad_csv'),
    ],
)
def test_files_that_broke_something_once(name, reason, good):
    path = SHARED / 'data/faults' / name
    used, rejected = _extract(path, good)
    assert 'good#1' in used
    assert rejected.get(str(path), (None,))[0] == reason
    assert (reason is None) == (path.stem in used)


@needs_shared
def test_ignored_points_hide_no_spikes():
    # Taken for bytes, they gave 7,416 "spikes".
    (recording,), _ = group_files([('original', 0, str(SHARED / 'data/faults/points_ignored_1.abf'))])
    ((_, cell, _),) = extract_cells(recording, 0, 10, ReadingOptions(cutting=DEFAULT_CUTTING))
    assert len(cell.triggers) == 33


@pytest.mark.parametrize(
    ('error', 'reason', 'said'),
    [
        (
            IndexError('list index out of range'),
            'failed',
            'IndexError: list index out of range (in ',
        ),
        (MemoryError(), 'unreadable', 'it takes more memory than there is'),
        (OSError(5, 'Input/output error'), 'unreadable', 'Input/output error'),
        (RecursionError('too deep'), 'failed', 'RecursionError'),
    ],
)
@pytest.mark.parametrize('step', ['find_spikes', 'read_recordings', '_with_masks'])
def test_a_fault_of_our_own_names_itself_and_costs_one_file(error, reason, said, step, good, tmp_path, monkeypatch):
    second = tmp_path / 'good#2.abf'
    second.write_bytes(good.read_bytes())
    real, calls = getattr(extraction, step), []

    def fails_once(*args, **more):
        calls.append(args)
        if len(calls) == 1:
            raise error
        return real(*args, **more)

    monkeypatch.setattr(extraction, step, fails_once)
    used, rejected = _extract(good, second)
    assert used == ['good#2']
    (found, detail) = rejected[str(good)]
    assert found == reason and detail.startswith(said)
