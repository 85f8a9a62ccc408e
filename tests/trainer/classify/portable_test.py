"""sero-classify gives the same verdicts without what only POSIX has: a PC at a rig is often a Windows PC or a Mac."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.commands import run_command
from tests.support.places import ROOT

pytestmark = pytest.mark.slow

MODEL = ROOT / 'tests' / 'integration' / 'frozen' / 'finished'
ENVIRONMENT = {
    'PYTHONPATH': os.pathsep.join([str(ROOT / 'tests' / 'support' / 'without_posix'), str(ROOT)]),
    'PYTHONIOENCODING': 'cp1252',
    'PYTHONWARNDEFAULTENCODING': '1',
}


def test_verdicts_are_the_same_without_posix_in_a_console_of_few_characters(recordings_root, tmp_path):
    recordings = tmp_path / 'today'
    recordings.mkdir()
    recording, *_ = sorted((recordings_root / 'non_homogeneous').rglob('*.abf'))
    shutil.copy(recording, recordings / '\N{GREEK CAPITAL LETTER OMEGA}_0001.abf')
    (recordings / 'notes.txt').write_text('cell 3 died')
    plain, portable = tmp_path / 'plain', tmp_path / 'portable'
    for folder in (plain, portable):
        folder.mkdir()
        (folder / 'cells.csv').write_text('of an earlier run\n')
    arguments = ['--model', MODEL, '--export', 'nwb,phy', recordings]

    expected = run_command('sero-classify', '--output_dir', plain, *arguments)
    found = subprocess.run(
        [sys.executable, '-m', 'trainer.classify.command', '--output_dir', portable, *map(str, arguments)],
        capture_output=True,
        encoding='cp1252',
        timeout=120,
        env=os.environ | ENVIRONMENT,
    )

    assert found.returncode == expected.returncode == 1, found.stderr  # for notes.txt
    escaped = expected.stdout.replace('\N{GREEK CAPITAL LETTER OMEGA}', r'\u03a9')
    assert found.stdout == escaped.replace(str(plain), str(portable))
    assert '\\u03a9_0001' in found.stdout
    for name in ('cells.csv', 'spikes.csv', 'rejected.jsonl', 'report.html', 'phy/cluster_sero.tsv'):
        assert (portable / name).read_bytes() == (plain / name).read_bytes(), name
    assert [json.loads(line)['reason'] for line in (portable / 'rejected.jsonl').open()] == ['unknown_format']
    assert [path.name for path in (portable / 'nwb').iterdir()] == ['\N{GREEK CAPITAL LETTER OMEGA}_0001.nwb']


@pytest.mark.parametrize(
    ('program', 'error'),
    [
        ('import fcntl', 'ModuleNotFoundError'),
        ('import os; os.fork()', 'AttributeError'),
        ('import signal; signal.pthread_sigmask', 'AttributeError'),
        ('import os; open("a", "x").close(); open("b", "x").close(); os.rename("a", "b")', 'FileExistsError'),
        ('__name__ = "trainer.stub"; open("/proc/self/stat", encoding="utf-8")', 'FileNotFoundError'),
        ('__name__ = "trainer.stub"; open("file", "w")', 'EncodingWarning'),
    ],
)
def test_such_a_process_is_without_posix(program, error, tmp_path):
    command = [sys.executable, '-c', program]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | ENVIRONMENT)
    assert result.stderr.splitlines()[-1].startswith(error)
