"""The commands of docs/first_model.md work as pasted, one after the other; only the training is shorter."""

import pytest

from tests.support.commands import run_command
from tests.support.documented_commands import commands_of
from tests.support.places import ROOT
from tests.support.training_runs import TINY_RUN

pytestmark = pytest.mark.slow

# A later value of a flag cannot be given twice, so these are of flags that the page does not name.
_SHORTER = {
    'sero-build': ['--synthetic_examples=2000,2000', '--num_masks=20'],
    'sero-train': [f'--config.{name}={TINY_RUN[name]}' for name in ('kernel_sizes', 'examples_per_epoch', 'epochs')],
}
_MADE = {
    'sero-simulate': 'recordings/SIMULATED.json',
    'sero-build': 'data/sero_spikes/original/1.1.0/dataset_info.json',
    'sero-verify': 'data/sero_spikes/original/1.1.0/dataset_info.json',
    'sero-train': 'runs/synthetic/manifest.json',
    'sero-evaluate': 'runs/synthetic/evaluation/report.html',
    'sero-classify': 'verdicts/report.html',
}


def test_the_page_leads_from_recordings_to_verdicts(tmp_path, monkeypatch):
    (tmp_path / 'trainer').symlink_to(ROOT / 'trainer')  # the page is for the folder of the clone
    monkeypatch.chdir(tmp_path)
    commands = commands_of(ROOT / 'docs' / 'first_model.md')
    assert [command.program for command in commands] == list(_MADE)
    for command in commands:
        result = run_command(*command.words, *_SHORTER.get(command.program, []))
        assert result.returncode == 0, f'{command}: {result.stderr}'
        assert (tmp_path / _MADE[command.program]).is_file()
