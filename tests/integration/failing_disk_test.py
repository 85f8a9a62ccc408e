"""Commands on disks that are full or fail: one line with the file and the cause, and what was there before stays."""

import errno
import pathlib
import re
import shutil

import pytest

from tests.support.failing_disk import Try, run_all
from tests.support.folders import files_of
from tests.support.recordings import NUM_MASKS
from tests.support.training_runs import TINY_RUN, train_arguments

_FULL = errno.ENOSPC

# Which call fails with which error on which files of the command's folder, and what it says after that folder.
_EXPECTED = {
    'simulate': ('write', errno.EIO, '', 'rec cannot be written: Input/output error'),
    'build': ('write', _FULL, '', r'data/sero_spikes/\.running\.json: No space left on device'),
    'build_staging': (
        'rename', errno.EIO, 'data/sero_spikes/.staging/',
        r'data/sero_spikes/\.staging/\w+\.spikes: Input/output error; rejected files are listed in \S+',
    ),
    'build_shard': (
        'write', _FULL, 'data/sero_spikes/original/1.1.0.building/',
        r'data/sero_spikes/original/\S+-of-00001: No space left on device; rejected files are listed in \S+',
    ),
    'verify': ('read', errno.EIO, '', r'data/sero_spikes/original/1\.1\.0/dataset_info\.json: Input/output error'),
    'tfds': ('write', _FULL, '', r'data/sero_spikes/original/1\.1\.0: No space left on device'),
    'tfds_flush': ('fsync', errno.EIO, 'data/sero_spikes/original/incomplete', r'data/\S+: Input/output error'),
    'tfds_rename': ('rename', errno.EIO, '', r'data/sero_spikes/original/1\.1\.0: Input/output error'),
    'train': ('fsync', errno.EIO, 'run/checkpoints/', 'run/checkpoints/step_000000002: Input/output error'),
    'train_read': ('read', errno.EIO, 'data/', r'data/\S+/metadata\.json: Input/output error'),
    'evaluate_read': ('read', errno.EIO, 'run/manifest', r'run/manifest\.json: Input/output error'),
    'classify_read': ('read', errno.EIO, 'run/members/', r'run/members/k5\.keras: Input/output error'),
}  # fmt: skip

# On a bucket that gcsfuse has mounted, which renames no folders.
_MOUNTED = ('train_mounted', 'evaluate_mounted')


def _command(name: str, place: pathlib.Path, recordings: pathlib.Path, data_dir: pathlib.Path) -> list[object]:
    build = ['--recordings', recordings, '--num_masks', NUM_MASKS, '--configs', 'original']
    classify = [*sorted((recordings / 'original/SER').iterdir())[:1]]
    run = TINY_RUN | {'train_on': 'original', 'examples_per_epoch': 160, 'epochs': 1, 'checkpoint_steps': 2}
    return {
        'simulate': ['sero-simulate', '--output_dir', place / 'rec'],
        'build': ['sero-build', '--data_dir', place / 'data', '--overwrite', *build],
        'verify': ['sero-verify', place / 'data'],
        'tfds': [
            'tfds', 'build', 'sero_spikes', '--config', 'original', '--overwrite',
            '--data_dir', place / 'data', '--manual_dir', recordings,
        ],
        'train': ['sero-train', *train_arguments(run, place / 'data', place / 'run')],
        'evaluate': ['sero-evaluate', '--workdir', place / 'run', '--data_dir', data_dir],
        'classify': ['sero-classify', '--model', place / 'run', '--output_dir', place / 'verdicts', *classify],
    }[name.partition('_')[0]]  # fmt: skip


@pytest.fixture(scope='module')
def tried(recordings_root, data_dir, synthetic_run, tmp_path_factory):
    """Each command's result, its folder, and the files that were in it before."""
    folder = tmp_path_factory.mktemp('failing').resolve()
    tries, before = {}, {}
    failing = {name: (number, call, files) for name, (call, number, files, _) in _EXPECTED.items()}
    failing |= dict.fromkeys(_MOUNTED, (errno.EMFILE, 'rename_folder', ''))
    for name, (number, call, files) in failing.items():
        place = folder / name
        (place / 'data/sero_spikes').mkdir(parents=True)
        shutil.copytree(data_dir / 'sero_spikes/original', place / 'data/sero_spikes/original')
        if name not in ('train', 'train_mounted'):
            shutil.copytree(synthetic_run[0], place / 'run', ignore=shutil.ignore_patterns('tensorboard'))
        before[name] = files_of(place)
        command = list(map(str, _command(name, place, recordings_root, data_dir)))
        tries[name] = Try(command, f'{place}/{files}', call, number)
    results = run_all(tries, folder)
    return {name: (result, folder / name, before[name]) for name, result in results.items()}


@pytest.mark.slow
@pytest.mark.parametrize('name', _EXPECTED)
def test_a_full_or_failing_disk_is_one_line_and_harms_nothing(tried, name):
    result, place, before = tried[name]
    assert (result.returncode, 'Traceback' in result.stderr) == (1, False), result.stderr
    # Before it there may be progress.
    [line] = [line for line in result.stderr.splitlines() if line.startswith(('sero-', 'tfds build sero_spikes'))]
    assert re.fullmatch(rf'[\w -]+: {place}/{_EXPECTED[name][3]}', line), line
    left = files_of(place)
    assert {path: left.get(path) for path in before} == before


@pytest.mark.slow
@pytest.mark.parametrize('name', _MOUNTED)
def test_a_mounted_bucket_that_renames_no_folders_takes_runs_and_evaluations(tried, name):
    result, place, before = tried[name]
    assert result.returncode == 0, result.stderr
    left = files_of(place)
    assert len(left) > len(before) and not [path for path in left if '.partial' in path]
