"""Two commands in one folder do not meet."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.simulation.root import write_root
from beam_pipelines.storage.locks import check_not_written, locked, written_by_one

_HOLD = """
import sys
from beam_pipelines.storage.locks import locked
with locked(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.readline()
"""


def _hold(path) -> subprocess.Popen:
    """Starts a process that holds the lock until a line comes."""
    process = subprocess.Popen(
        [sys.executable, '-c', _HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process


def test_the_second_waits_for_the_first_and_says_so(tmp_path):
    first = _hold(tmp_path / '.lock')
    assert first.stdout.readline() == 'held\n'
    second = _hold(tmp_path / '.lock')
    assert second.stderr.readline().startswith('waiting for another build in')
    assert first.poll() is None
    first.communicate('\n')
    assert second.communicate('\n')[0] == 'held\n'
    assert first.returncode == 0 and second.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_no_lock(tmp_path):
    killed = _hold(tmp_path / '.lock')
    assert killed.stdout.readline() == 'held\n'
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    started = time.monotonic()
    with locked(str(tmp_path / '.lock')):
        assert time.monotonic() - started < 5
    assert not list(tmp_path.iterdir())


@pytest.fixture
def written(tmp_path):
    """A folder that another process is writing into, and the process."""
    folder = tmp_path / 'run'
    folder.mkdir()
    process = _hold(folder / '.sero.lock')
    assert process.stdout.readline() == 'held\n'
    yield folder, process
    process.kill()
    process.communicate()


def test_a_second_command_is_refused_in_one_line_that_names_the_folder(written):
    folder, process = written
    with pytest.raises(UserError) as raised, written_by_one(folder, 'use another --workdir'):
        pytest.fail('both write')
    assert str(raised.value) == f'{folder}: another command is writing there; use another --workdir'
    with pytest.raises(UserError, match='another command is writing there'):
        check_not_written(folder, 'wait')
    process.communicate('\n')
    check_not_written(folder, 'wait')
    with written_by_one(folder, 'use another --workdir'), written_by_one(folder, 'the same command may ask again'):
        assert [path.name for path in folder.iterdir()] == ['.sero.lock']
    assert not list(folder.iterdir())


def test_the_lock_of_a_killed_command_holds_nobody_up(written):
    folder, process = written
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / '.sero.lock').exists()
    check_not_written(folder, 'wait')
    with written_by_one(folder, 'wait'):
        pass
    assert not list(folder.iterdir())


def test_a_folder_that_only_others_may_write_or_that_does_not_exist_can_be_read(tmp_path):
    check_not_written(tmp_path / 'missing', 'wait')
    (tmp_path / '.sero.lock').mkdir()  # nothing that could be locked
    check_not_written(tmp_path, 'wait')


def test_two_simulations_of_one_root_do_not_mix(tmp_path):
    process = _hold(tmp_path / '.recordings.sero.lock')
    assert process.stdout.readline() == 'held\n'
    with pytest.raises(UserError, match='recordings: another command is writing there'):
        write_root(tmp_path / 'recordings', lambda root: pytest.fail('both write'))
    process.communicate('\n')
    write_root(tmp_path / 'recordings', lambda root: (root / 'a').write_text('whole'))
    assert [path.name for path in tmp_path.iterdir()] == ['recordings']


def test_a_root_that_another_simulation_ends_while_it_is_waited_for_is_kept(tmp_path):
    process = _hold(tmp_path / '.recordings.sero.lock')
    assert process.stdout.readline() == 'held\n'

    def end_the_other() -> None:
        (tmp_path / 'recordings').mkdir()
        (tmp_path / 'recordings' / 'a').write_text('of the other')
        process.communicate('\n')

    other = threading.Timer(0.2, end_the_other)
    other.start()
    with pytest.raises(UserError, match='exists and is not an empty folder'):
        write_root(tmp_path / 'recordings', lambda root: pytest.fail('all would be made, and then thrown away'))
    other.join()
    assert [path.name for path in tmp_path.iterdir()] == ['recordings']
