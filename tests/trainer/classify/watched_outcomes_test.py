"""Recordings of a watched folder that are moved, deleted, recorded anew and put back."""

import pathlib
import types

import pytest

from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.spikes.extraction import ExtractionReport, rejection_report
from tests.support.classified_cells import make_cell
from trainer.classify.watched_outcomes import WatchedOutcomes


def read(recordings, options=None):
    """Reads a file as one cell of its name, or as the two that it holds; one that is gone or ``broken`` is rejected."""
    for recording in recordings:
        path = recording.paths[0]
        if not pathlib.Path(path).exists():
            yield [(None, rejection_report(RejectedFile(path, 'unreadable', 'No such file or directory')))]
        elif pathlib.Path(path).read_text() == 'broken':
            yield [(None, rejection_report(RejectedFile(path, 'truncated', 'cut off')))]
        else:
            content = pathlib.Path(path).read_text()
            names = content.split(',') if ',' in content else [recording.cell_id]
            yield [(types.SimpleNamespace(cell=name, path=path), ExtractionReport(used_files=1)) for name in names]


@pytest.fixture
def outcomes():
    classifier = types.SimpleNamespace(classify_cell=lambda cell: make_cell(cell.cell, cell.path))
    return WatchedOutcomes(classifier, types.SimpleNamespace(read=read))


@pytest.fixture
def record(tmp_path):
    def written(name: str, content: str = 'whole') -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return str(path)

    return written


def found(outcomes) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Returns the file of each verdict, and the file and reason of each rejection."""
    findings = outcomes.gather()
    return (
        {name: cell.path for name, cell in findings.cells.items()},
        [(file.path, file.reason) for file in findings.rejected],
    )


def test_a_recording_that_was_moved_has_one_verdict(outcomes, record, tmp_path):
    old = record('new/A#1.abf')
    outcomes.classify(old)
    (tmp_path / 'sorted').mkdir()
    moved = str(pathlib.Path(old).rename(tmp_path / 'sorted' / 'A#1.abf'))
    assert found(outcomes) == ({'A#1': old}, [])  # until the moved one is read
    outcomes.classify(moved)
    assert found(outcomes) == ({'A#1': moved}, [])
    assert outcomes.take_outdated() == [old]


def test_a_new_recording_under_the_name_of_a_deleted_one_has_the_verdict(outcomes, record):
    old = record('a/A#1.abf')
    outcomes.classify(old)
    pathlib.Path(old).unlink()
    new = record('b/A#1.abf')
    outcomes.classify(new)
    assert found(outcomes) == ({'A#1': new}, [])


def test_a_duplicate_is_looked_at_again_when_the_first_is_gone(outcomes, record):
    first, second = record('a/A#1.abf'), record('b/A#1.abf')
    outcomes.classify(first)
    outcomes.classify(second)
    assert found(outcomes) == ({'A#1': first}, [(second, 'duplicate_cell')])
    assert outcomes.take_outdated() == []
    pathlib.Path(first).unlink()
    assert outcomes.take_outdated() == [second]
    outcomes.classify(second)
    assert found(outcomes) == ({'A#1': second}, [])
    # The first is put back: it is looked at again, because its outcome was given up.
    assert first in outcomes.take_outdated()
    record('a/A#1.abf')
    outcomes.classify(first)
    assert found(outcomes) == ({'A#1': second}, [(first, 'duplicate_cell')])


def test_a_duplicate_is_looked_at_again_when_the_first_has_no_verdict_any_more(outcomes, record):
    first, second = record('a/A#1.abf'), record('b/A#1.abf')
    for path in (first, second, first):
        outcomes.classify(path)
    assert outcomes.take_outdated() == []
    record('a/A#1.abf', 'broken')
    outcomes.classify(first)
    assert outcomes.take_outdated() == [second]
    outcomes.classify(second)
    assert found(outcomes) == ({'A#1': second}, [(first, 'truncated')])
    assert outcomes.take_outdated() == []
    # Once the first is right, the cell is its own again.
    record('a/A#1.abf')
    outcomes.classify(first)
    assert outcomes.take_outdated() == [second]
    outcomes.classify(second)
    assert found(outcomes) == ({'A#1': first}, [(second, 'duplicate_cell')])
    assert outcomes.take_outdated() == []


def test_of_a_file_that_is_gone_the_cells_stay_that_no_other_file_holds(outcomes, record):
    first = record('a/day.nwb', 'x,y')
    outcomes.classify(first)
    pathlib.Path(first).unlink()
    second = record('b/day.nwb', 'x,z')
    outcomes.classify(second)
    assert found(outcomes) == ({'y': first, 'x': second, 'z': second}, [])
    assert outcomes.take_outdated() == [first]
    assert [cell.result.cell for cell, _ in outcomes.of_file(first)] == ['y']


def test_a_broken_recording_that_was_moved_is_rejected_once(outcomes, record, tmp_path):
    old = record('a/A#1.abf', 'broken')
    outcomes.classify(old)
    (tmp_path / 'b').mkdir()
    moved = str(pathlib.Path(old).rename(tmp_path / 'b' / 'A#1.abf'))
    outcomes.classify(moved)
    assert found(outcomes) == ({}, [(moved, 'truncated')])


def test_the_verdict_on_a_deleted_recording_stays(outcomes, record):
    old = record('a/A#1.abf')
    outcomes.classify(old)
    pathlib.Path(old).unlink()
    outcomes.classify(record('a/A#2.abf'))
    assert sorted(found(outcomes)[0]) == ['A#1', 'A#2'] and outcomes.take_outdated() == []


def test_a_recording_that_is_gone_before_it_is_read_is_looked_at_when_it_returns(outcomes, record):
    path = record('a/A#1.abf')
    pathlib.Path(path).unlink()
    assert outcomes.classify(path) == [] and found(outcomes) == ({}, [])
    assert outcomes.take_outdated() == [path]
    record('a/A#1.abf')
    outcomes.classify(path)
    assert found(outcomes) == ({'A#1': path}, [])
    # Its verdict stays when it is gone before its new content has been read.
    pathlib.Path(path).unlink()
    assert outcomes.classify(path) == [] and found(outcomes) == ({'A#1': path}, [])
