import subprocess
import sys

import pytest

from tests.support.commands import help_of, run_command
from tests.support.mean_spikes import write_mean_spikes


def _sero_simulate(*args: object) -> subprocess.CompletedProcess:
    return run_command('sero-simulate', *args)


def _assert_one_line_error(process: subprocess.CompletedProcess, returncode: int, text: str) -> None:
    assert process.returncode == returncode
    assert text in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert 'Traceback' not in process.stderr


def test_demo_is_written_with_progress(tmp_path):
    root = tmp_path / 'recordings'
    command = [sys.executable, '-m', 'beam_pipelines.simulate', '--output_dir', root, '--profile', 'demo', '--seed=1']
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert process.stdout == f'{root}\n'
    assert 'wrote 60 of 60 recordings' in process.stderr
    n_files = {
        folder: len(list((root / folder).glob('*.abf')))
        for folder in ('original/SER', 'original/NSER', 'non_homogeneous/SER', 'non_homogeneous/NSER')
    }
    assert list(n_files.values()) == [24, 16, 12, 8]


def test_existing_root_is_left_alone(tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    process = _sero_simulate('--output_dir', tmp_path)
    _assert_one_line_error(process, 1, 'exists and is not an empty folder')
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_root_that_is_a_file_is_left_alone(tmp_path):
    (tmp_path / 'file').write_text('mine')
    _assert_one_line_error(_sero_simulate('--output_dir', tmp_path / 'file'), 1, 'exists and is not an empty folder')
    assert (tmp_path / 'file').read_text() == 'mine'


def test_unwritable_output(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    process = _sero_simulate('--output_dir', tmp_path / 'file' / 'recordings')
    _assert_one_line_error(process, 1, 'cannot be written: what it should lie in is not a folder')


def test_unknown_argument(tmp_path):
    _assert_one_line_error(_sero_simulate('--output_dir', tmp_path / 'x', 'paper'), 2, "unexpected argument 'paper'")
    assert not (tmp_path / 'x').exists()


def test_unknown_profile_missing_root_and_negative_seed(tmp_path):
    for args in (['--output_dir', tmp_path / 'x', '--profile', 'huge'], [], ['--output_dir', tmp_path, '--seed', -1]):
        process = _sero_simulate(*args)
        assert process.returncode in (1, 2)
        assert 'flag --' in process.stderr.lower()
        assert 'Traceback' not in process.stderr


def test_help_is_quick_and_names_the_flags():
    text = help_of('sero-simulate')
    assert '--output_dir' in text
    assert 'sero-simulate --output_dir' in text


def test_neither_beam_nor_tensorflow_is_imported():
    program = (
        'import sys; import beam_pipelines.simulate; '
        'sys.exit(any(name in sys.modules for name in ("apache_beam", "tensorflow", "scipy")))'
    )
    assert subprocess.run([sys.executable, '-c', program], timeout=60).returncode == 0


def test_mean_spikes_of_real_neurons_become_recordings(tmp_path):
    write_mean_spikes(tmp_path / 'spikes', ['E  4.0', 'FS 5.0'])
    root = tmp_path / 'recordings'
    process = _sero_simulate('--output_dir', root, '--waveforms', tmp_path / 'spikes')
    assert (process.returncode, process.stdout) == (0, f'{root}\n')
    assert sorted(path.name for path in root.iterdir()) == ['REAL_SHAPES.json', 'original']


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['--pair=E,FS'], '--pair goes with --waveforms'),
        (['--waveforms=spikes', '--profile=demo'], '--profile does not go with --waveforms'),
    ],
)
def test_flags_that_do_not_go_together(tmp_path, arguments, text):
    process = _sero_simulate('--output_dir', tmp_path / 'recordings', *arguments)
    assert process.returncode == 2
    assert text in process.stderr and 'Traceback' not in process.stderr


def test_waveforms_that_are_not_there(tmp_path):
    process = _sero_simulate('--output_dir', tmp_path / 'recordings', '--waveforms', tmp_path / 'spikes')
    _assert_one_line_error(process, 1, 'spikes/waveforms.csv: cannot be read: No such file or directory; expected a ')
    assert not (tmp_path / 'recordings').exists()
