"""The commands of README.md and docs/first_model.md work as pasted, in order; only the training is shorter."""

import re
import shutil

import pytest

from tests.support.commands import run_command, run_tfds
from tests.support.documented_commands import commands_of
from tests.support.places import ROOT
from tests.support.training_runs import TINY_RUN

pytestmark = pytest.mark.slow

# A later value of a flag cannot be given twice, so these are of flags that the pages do not name.
_SHORTER = {
    'sero-build': ['--synthetic_examples=2000,2000', '--num_masks=20'],
    'sero-train': [f'--config.{name}={TINY_RUN[name]}' for name in ('kernel_sizes', 'examples_per_epoch', 'epochs')],
}
# What runs for ever, and what a test of its own runs.
_ELSEWHERE = {'sero-app', 'make'}
_PYTHON = re.compile(r'^```python\n(from trainer.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that has what the commands of the pages find in the clone; the current one."""
    for name in ('trainer', 'tfds_sero', 'sero_spikes'):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(command) -> None:
    if command.program == 'tfds':
        result = run_tfds(*command.words[1:], cwd='.')
    else:
        result = run_command(*command.words, *_SHORTER.get(command.program, []))
    assert result.returncode == 0, f'{command}: {result.stderr}'


def test_the_first_model_leads_from_recordings_to_verdicts(clone):
    commands = commands_of(ROOT / 'docs' / 'first_model.md')
    made = {
        'sero-simulate': 'recordings/SIMULATED.json',
        'sero-build': 'data/sero_spikes/original/1.1.0/dataset_info.json',
        'sero-verify': 'data/sero_spikes/original/1.1.0/dataset_info.json',
        'sero-train': 'runs/synthetic/manifest.json',
        'sero-evaluate': 'runs/synthetic/evaluation/report.html',
        'sero-classify': 'verdicts/report.html',
    }
    assert [command.program for command in commands] == list(made)
    for command in commands:
        _run(command)
        assert (clone / made[command.program]).is_file()


def test_the_front_page_leads_to_a_verdict_a_model_of_ones_own_and_one_to_pass_on(clone, capsys):
    page = ROOT / 'README.md'
    commands = [command for command in commands_of(page) if command.program not in _ELSEWHERE]
    first = next(number for number, command in enumerate(commands) if 'recordings' in command.words)
    assert [command.program for command in commands[:first]] == ['sero-simulate', 'sero-build', 'sero-train']
    for command in commands[:first]:
        _run(command)

    (clone / 'recordings').symlink_to(clone / 'first' / 'recordings')
    recording = min((clone / 'recordings' / 'non_homogeneous' / 'SER').iterdir())
    shutil.copy(recording, clone / 'my_recording.abf')
    capsys.readouterr()
    exec(_PYTHON.search(page.read_text())[1], {})
    assert capsys.readouterr().out.split('\n')[0].split()[0] in ('SER', 'NSER', 'undecided')

    for command in commands[first:]:
        _run(command)
    for path in ('runs/synthetic/evaluation/report.html', 'verdicts/cells.csv', 'OUT.zip'):
        assert (clone / path).is_file()
