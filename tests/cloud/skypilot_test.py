"""The task for SkyPilot, read by SkyPilot, which `.ci/run` installs into `.tools/skypilot`."""

import json
import shlex
import subprocess

import pytest
import yaml

from tests.cloud.train_commands import assert_is_sero_train
from tests.support.misspelt import misspelt_fields
from tests.support.places import ROOT

_TASK = yaml.safe_load((ROOT / 'cloud' / 'skypilot' / 'train.yaml').read_text())
_PYTHON = ROOT / '.tools' / 'skypilot' / 'bin' / 'python'
# Names of the user's choice: variables, and the folders that buckets are mounted to.
_FREE = ('envs', 'file_mounts')

needs_skypilot = pytest.mark.skipif(not _PYTHON.exists(), reason='SkyPilot is not in .tools/skypilot: see .ci/run')


def _read(documents: list[dict], home) -> list[dict]:
    """Returns what SkyPilot makes of each document."""
    result = subprocess.run(
        [_PYTHON, ROOT / 'tests' / 'support' / 'skypilot_tasks.py'],
        input=''.join(json.dumps(document) + '\n' for document in documents),
        capture_output=True,
        text=True,
        timeout=120,
        env={'HOME': str(home), 'PATH': '/usr/bin:/bin', 'SKYPILOT_DISABLE_USAGE_COLLECTION': '1'},
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{')]


@pytest.mark.slow
@needs_skypilot
def test_the_task_is_skypilots_and_each_misspelt_field_is_refused(tmp_path):
    fields, changed = zip(*misspelt_fields(_TASK, _FREE), strict=True)
    task, *answers = _read([_TASK, *changed], tmp_path)
    assert task == {'name': 'sero-train', 'use_spot': True, 'mounts': list(_TASK['file_mounts'])}
    accepted = [field for field, answer in zip(fields, answers, strict=True) if 'refused' not in answer]
    assert len(fields) > 10 and accepted == []


def test_what_it_runs_is_sero_train_on_what_it_mounts():
    program, *arguments = shlex.split(_TASK['run'].replace('\\\n', ' '))
    assert_is_sero_train([program.rpartition('/')[2], *arguments])
    (mount,) = _TASK['file_mounts']
    places = [argument.partition('=')[2] for argument in arguments if argument.startswith(('--data_dir', '--workdir'))]
    assert len(places) == 2 and all(place.startswith(f'{mount}/') for place in places)
