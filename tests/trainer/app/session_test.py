import pytest

from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.spikes.extraction import ExtractionReport
from tests.support.classified_cells import make_cell
from trainer.app.session import Session

PLAIN, RESAMPLED = ReadingOptions(), ReadingOptions(resample=True)


def outcomes(name: str, path: str) -> tuple:
    return ((make_cell(name, path), ExtractionReport(used_files=1)),)


@pytest.fixture
def session() -> Session:
    return Session(PLAIN)


def work(session: Session) -> str | None:
    """Takes a file and finishes it, as the worker does; returns its name."""
    file = session.take(0)
    if file is None:
        return None
    session.finish(file, outcomes(file.name, file.path))
    return file.name


def test_files_are_taken_one_after_the_other(session):
    for name in ('a', 'b'):
        session.add(f'/private/{name}', PLAIN, name)
    assert session.changes(0).waiting == 2
    first = session.take(0)
    assert (first.name, session.changes(0).reading, session.changes(0).waiting) == ('a', 'a', 1)
    session.finish(first, ())
    assert [work(session), work(session)] == ['b', None]


def test_a_page_gets_only_what_has_changed_since(session):
    first, _ = session.add('a', PLAIN), session.add('b', PLAIN)
    version = session.changes(0).version
    assert session.changes(version).files == ()
    work(session)
    (changed,) = session.changes(version).files
    assert (changed.number, changed.status) == (first, 'done')
    session.remove(first)
    assert session.changes(version).removed == (first,)


def test_a_file_that_is_read_again_keeps_its_place_and_gets_the_options(session):
    number = session.add('a', PLAIN)
    work(session)
    session.read_again([number], RESAMPLED)
    session.read_again([number], RESAMPLED)
    assert session.take(0).options == RESAMPLED
    assert session.take(0) is None
    assert len(session.files()) == 1


def test_what_was_asked_for_while_a_file_was_read_is_not_lost(session):
    number = session.add('a', PLAIN)
    file = session.take(0)
    session.read_again([number], RESAMPLED)
    session.finish(file, outcomes('a', 'a'))
    assert session[number].status == 'waiting'
    assert session.take(0).options == RESAMPLED


def test_a_file_that_was_removed_while_it_was_read_does_not_come_back(session):
    number = session.add('a', PLAIN, 'a')
    file = session.take(0)
    session.remove(number)
    session.finish(file, outcomes('a', 'a'))
    assert session.files() == [] and session.take_gone() == ['a'] and session.take_gone() == []


def test_an_outdated_file_is_read_again_and_one_that_is_gone_goes(session, tmp_path):
    path = tmp_path / 'a'
    path.touch()
    session.add(str(path), PLAIN)
    work(session)
    assert session.repeat_or_remove(str(path))
    assert work(session) == str(path)
    path.unlink()
    assert not session.repeat_or_remove(str(path))
    assert session.files() == []


def test_of_a_file_that_is_gone_the_outcomes_stay_with_the_options_that_led_to_them(session):
    number = session.add('a', PLAIN)
    work(session)
    session.read_again([number], RESAMPLED)
    before = session[number]
    assert (before.options, before.found_with) == (RESAMPLED, PLAIN)
    session.finish(session.take(0), ())
    gone = session[number]
    assert (gone.options, gone.outcomes, gone.is_missing) == (PLAIN, before.outcomes, True)
    session.read_again([number], RESAMPLED)
    work(session)
    assert (session[number].found_with, session[number].is_missing) == (RESAMPLED, False)


def test_of_a_file_whose_cell_another_one_holds_the_others_stay(session):
    number = session.add('a', PLAIN)
    work(session)
    version = session.version
    session.replace_outcomes('a', session[number].outcomes)
    assert session.version == version
    session.replace_outcomes('a', outcomes('y', 'a'))
    assert [cell.result.cell for cell, _ in session[number].outcomes] == ['y'] and session.version > version


def test_a_recording_that_was_moved_is_read_as_before(session, tmp_path):
    recorded = tmp_path / 'a.abf'
    recorded.touch()
    number = session.add(str(recorded), PLAIN)
    session.read_again([number], RESAMPLED)
    work(session)
    copied = str(tmp_path / 'sorted' / 'a.abf')
    assert session.options_of(copied) == PLAIN  # The first is still there.
    recorded.unlink()
    assert session.options_of(copied) == RESAMPLED
    assert session.options_of(str(tmp_path / 'sorted' / 'b.abf')) == PLAIN


def test_a_page_is_told_once_what_cannot_be_read_in_the_watched_folder(session):
    session.set_unwatched(('day: Permission denied',))
    version = session.version
    session.set_unwatched(('day: Permission denied',))
    assert session.version == version and session.changes(0).unwatched == ('day: Permission denied',)
    session.set_unwatched(())
    assert session.version > version and session.changes(0).unwatched == ()


def test_a_watched_file_that_has_changed_is_the_same_file(session):
    assert session.add('a', PLAIN) == session.add('a', PLAIN)
    assert [work(session), work(session)] == ['a', None]
