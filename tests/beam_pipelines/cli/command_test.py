import os
import signal
import subprocess
import sys

import pytest
from absl import flags

from beam_pipelines.cli.command import (
    refuse_arguments,
    refuse_urls,
    run_main,
    say,
    show,
    standard_error_redirected,
)
from beam_pipelines.errors import UsageError, UserError

# A program whose flag says how it ends.
_PROGRAM = '''"""Ends as it is told.

    program --end well
"""
import errno

from absl import flags

from beam_pipelines.errors import UsageError, UserError

flags.DEFINE_string('end', 'well', 'How it ends.')

_ENDS = {
    'user': UserError('holds nothing', file='data'),
    'usage': UsageError('give one'),
    'os': OSError(errno.ENOENT, 'No such file or directory', 'gone.abf'),
    'interrupt': KeyboardInterrupt(),
    'bug': ValueError('a mistake of ours'),
}


def main(argv):
    print('ends', flags.FLAGS.end)
    if flags.FLAGS.end in _ENDS:
        raise _ENDS[flags.FLAGS.end]
    return 7
'''


@pytest.fixture
def start(tmp_path):
    """Starts the program in a process of its own, as a console command does; ``before`` runs first."""
    (tmp_path / 'program.py').write_text(_PROGRAM)
    stub = 'import program; from beam_pipelines.cli.command import run_command; run_command("sero-program", "program")'
    started = []

    def start(*arguments: str, before: str = 'pass') -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, '-c', f'{before}; {stub}', *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), os.getcwd()])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        process = start(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


def test_the_status_is_what_main_returns(run):
    assert run().returncode == 7


@pytest.mark.parametrize(
    ('end', 'status', 'line'),
    [
        ('user', 1, 'sero-program: data: holds nothing'),
        ('usage', 2, 'sero-program: give one'),
        ('os', 1, 'sero-program: gone.abf: No such file or directory'),
        ('interrupt', 130, 'sero-program: interrupted'),
    ],
)
def test_a_mistake_of_the_user_is_one_line(run, end, status, line):
    result = run('--end', end)
    assert (result.returncode, result.stderr.strip()) == (status, line)


def test_ctrl_c_while_libraries_end_quits_at_once(start):
    ending = 'lambda: (os.write(2, b"ending\\n"), time.sleep(60))'
    process = start('--end', 'interrupt', before=f'import atexit, os, time; atexit.register({ending})')
    assert [process.stderr.readline() for _ in range(3)] == ['\n', 'sero-program: interrupted\n', 'ending\n']
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ''
    assert process.returncode == -signal.SIGINT


def test_a_mistake_of_ours_keeps_its_traceback(run):
    result = run('--end', 'bug')
    assert result.returncode == 1
    assert 'Traceback' in result.stderr and 'ValueError: a mistake of ours' in result.stderr


def test_what_the_console_cannot_show_is_escaped(run, monkeypatch):
    monkeypatch.setenv('PYTHONIOENCODING', 'cp437')
    result = run('--end', '\N{EM DASH}\N{GREEK CAPITAL LETTER DELTA}')
    assert (result.returncode, result.stdout, result.stderr) == (7, 'ends \\u2014\\u0394\n', '')


@pytest.mark.parametrize('arguments', [[], ['--help']])
def test_python_without_docstrings_is_refused(run, monkeypatch, arguments):
    monkeypatch.setenv('PYTHONOPTIMIZE', '2')
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr.startswith('sero-program: PYTHONOPTIMIZE=2') and result.stderr.count('\n') == 1


def test_help_shows_docstring_and_flags_with_status_0(run):
    result = run('--help')
    assert result.returncode == 0
    assert 'Ends as it is told.' in result.stdout and '--end: How it ends.' in result.stdout


def test_an_unknown_flag_is_status_1_without_a_traceback(run):
    result = run('--no_such_flag')
    assert result.returncode == 1 and 'Traceback' not in result.stderr and 'no_such_flag' in result.stderr


def _raise(error: Exception):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ('error', 'text'),
    [
        (UserError('first\nsecond'), 'first second'),
        (OSError(28, 'No space left on device'), 'No space left on device'),
        (OSError('of a library\nin two lines'), 'of a library in two lines'),
    ],
)
def test_a_line_is_printed_whatever_the_error_lacks(error, text, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['sero-program'])
    assert run_main(_raise(error), []) == 1
    assert capsys.readouterr().err == f'sero-program: {text}\n'


def test_a_programming_error_passes():
    with pytest.raises(TypeError):
        run_main(_raise(TypeError('a mistake of ours')), [])


def test_arguments_of_a_command_that_takes_none_are_refused():
    refuse_arguments(['sero-program'])
    with pytest.raises(UsageError, match="unexpected argument 'x'"):
        refuse_arguments(['sero-program', 'x'])


def test_standard_error_goes_to_a_file_and_comes_back(tmp_path, capfd):
    with open(tmp_path / 'log', 'wb') as log, standard_error_redirected(log) as original:
        subprocess.run([sys.executable, '-c', 'import sys; sys.stderr.write("of a worker")'], check=True)
        print('for the user', file=original, flush=True)
    print('afterwards', file=sys.stderr, flush=True)
    assert (tmp_path / 'log').read_text() == 'of a worker'
    assert capfd.readouterr().err == 'for the user\nafterwards\n'


def test_standard_error_comes_back_after_an_error(tmp_path, capfd):
    with pytest.raises(ZeroDivisionError), open(tmp_path / 'log', 'wb') as log, standard_error_redirected(log):
        _ = 1 / 0
    print('afterwards', file=sys.stderr, flush=True)
    assert capfd.readouterr().err == 'afterwards\n'


def test_no_line_of_a_command_passes_escape_sequences(capsys):
    show('verdict \x1b[2J', 'two\nlines')
    say('no such file \x1b]0;title\x07\nforged: line')
    shown = capsys.readouterr()
    assert shown.out == 'verdict \\x1b[2J\ntwo\nlines\n'
    assert shown.err.count('\n') == 1 and '\\x1b]0;title\\x07\\nforged' in shown.err


@pytest.mark.parametrize('arguments', [['--end', 'well', '--end', 'user'], ['--end=well', '-end=well']])
def test_a_flag_that_is_given_twice_is_refused(run, arguments):
    result = run(*arguments)
    assert (result.returncode, result.stderr, result.stdout) == (2, 'sero-program: --end: is given twice\n', '')


def test_a_switch_that_is_turned_on_and_off_is_refused(run):
    assert run('--logtostderr', '--nologtostderr').stderr == 'sero-program: --logtostderr: is given twice\n'


def _run_into(shell: str, tmp_path, *arguments: str) -> subprocess.CompletedProcess:
    (tmp_path / 'program.py').write_text(_PROGRAM)
    stub = 'import program; from beam_pipelines.cli.command import run_command; run_command("sero-program", "program")'
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), os.getcwd()])}
    environment.pop('PYTHONUNBUFFERED', None)
    command = ['sh', '-c', shell, 'sh', sys.executable, '-c', stub, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize('arguments', [[], ['--help'], ['--end', 'user']])
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(tmp_path, arguments):
    result = _run_into('{ "$@" && echo 0 >&2 || echo $? >&2; } | true; wait', tmp_path, *arguments)
    said = ['sero-program: data: holds nothing'] if arguments == ['--end', 'user'] else []
    assert result.stderr.splitlines() == [*said, '141']


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no /dev/full')
@pytest.mark.parametrize('arguments', [[], ['--help'], ['--helpfull']])
def test_a_full_standard_output_is_one_line(tmp_path, arguments):
    result = _run_into('"$@" > /dev/full', tmp_path, *arguments)
    assert (result.returncode, result.stderr) == (1, 'sero-program: standard output: No space left on device\n')


@pytest.mark.parametrize('closed', ['>&-', '>&- 2>&-', '<&- >&- 2>&-'])
@pytest.mark.parametrize(('arguments', 'status'), [([], 7), (['--help'], 0), (['--end', 'user'], 1)])
def test_closed_streams_change_no_status(tmp_path, closed, arguments, status):
    result = _run_into(f'"$@" {closed}', tmp_path, *arguments)
    assert result.returncode == status and 'Traceback' not in result.stderr


def test_what_is_printed_goes_into_no_file_if_standard_output_is_closed(tmp_path):
    program = (
        'from beam_pipelines.cli.streams import own_standard_streams as own\n'
        f'own(); file = open({str(tmp_path / "data")!r}, "w"); print("lost"); import os; os.write(1, b"lost")'
    )
    command = ['sh', '-c', '"$@" >&-', 'sh', sys.executable, '-c', program]
    subprocess.run(command, check=True, timeout=60, env=os.environ | {'PYTHONPATH': os.getcwd()})
    assert (tmp_path / 'data').read_bytes() == b''


def test_a_folder_that_is_a_url_is_refused(monkeypatch):
    values = flags.FlagValues()
    flags.DEFINE_string('workdir', 'gs://bucket/run', '', flag_values=values)
    values.mark_as_parsed()
    monkeypatch.setattr(flags, 'FLAGS', values)
    with pytest.raises(UsageError, match='^--workdir=gs://bucket/run: must be a folder of this machine$'):
        refuse_urls('workdir')
