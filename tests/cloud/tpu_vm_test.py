"""The script for TPU VMs: by shellcheck, and run against a stand-in for gcloud that knows its flags."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.cloud.train_commands import assert_is_sero_train
from tests.support import gcloud_stand_in
from tests.support.places import ROOT

_SCRIPT = ROOT / 'cloud' / 'tpu_vm' / 'run.sh'
_SHELLCHECK = shutil.which('shellcheck', path=pathlib.Path(sys.executable).parent)
_ARGUMENTS = [
    '--config=trainer/configs/default.py',
    '--config.augment=()',
    '--data_dir=gs://b/data',
    '--workdir=gs://b/runs/a run',
]
_IMAGE = 'us-central1-docker.pkg.dev/p/r/sero-spikes:1-tpu'
# Docker of a host: keeps what it was asked to run, one argument a line.
_DOCKER = 'if [ "$1" = run ]; then printf "%s\\n" "$@" >"$GCLOUD_STAND_IN/docker"; fi; cat >/dev/null'


def _write(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Tried:
    """What a run of the script said, ended with, and asked of gcloud."""

    def __init__(self, folder: pathlib.Path, result: subprocess.CompletedProcess):
        self.folder = folder
        self.status = result.returncode
        self.said = [line.split(' ', 2)[-1] for line in result.stderr.splitlines()]
        calls = folder / 'calls.jsonl'
        self.calls = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    @property
    def verbs(self) -> list[str]:
        return [call['verb'] for call in self.calls if call['verb'] != 'describe']


@pytest.fixture
def run_script(tmp_path):
    """Runs the script; the arguments are the states that looks find, and the statuses that training ends with."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    stand_in = f'{sys.executable} {gcloud_stand_in.__file__}'
    _write(programs / 'gcloud', f'#!/bin/sh\n[ "$1" = auth ] || exec {stand_in} "$@"\n')
    _write(programs / 'sudo', '#!/bin/sh\nexec "$@"\n')
    _write(programs / 'docker', f'#!/bin/bash\n{_DOCKER}\n')

    def run(states: list[str], statuses: Sequence[int] = (0,), script: pathlib.Path = _SCRIPT, **changes: str) -> Tried:
        (tmp_path / 'plan.json').write_text(json.dumps({'states': states, 'statuses': statuses}))
        settings = {'PROJECT': 'p', 'ZONE': 'us-west4-a', 'IMAGE': _IMAGE, 'SECONDS_BETWEEN_LOOKS': '0'}
        places = {'PATH': f'{programs}:{os.environ["PATH"]}', 'GCLOUD_STAND_IN': str(tmp_path)}
        environment = {name: value for name, value in (os.environ | settings | places | changes).items() if value}
        command = ['bash', script, *_ARGUMENTS]
        return Tried(tmp_path, subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment))

    return run


@pytest.mark.skipif(not _SHELLCHECK, reason='shellcheck is not here: extra dev')
def test_shellcheck_has_nothing_to_say():
    result = subprocess.run([_SHELLCHECK, _SCRIPT], capture_output=True, text=True, timeout=60)
    assert result.stdout == ''


def test_the_example_in_the_header_is_a_command_of_sero_train():
    header = _SCRIPT.read_text().partition('# The arguments')[0]
    assert_is_sero_train(['sero-train', *re.findall(r' (--\S+)', header)])


def test_a_slice_is_asked_for_trained_on_and_deleted(run_script):
    tried = run_script(['NOT_FOUND', 'WAITING_FOR_RESOURCES', 'PROVISIONING', 'ACTIVE'])
    assert tried.status == 0, tried.said
    assert tried.verbs == ['create', 'ssh', 'delete']
    create, ssh = (call for call in tried.calls if call['verb'] in ('create', 'ssh'))
    assert create['flags'] == {
        'project': 'p',
        'zone': 'us-west4-a',
        'node-id': 'sero-train',
        'accelerator-type': 'v5litepod-16',
        'runtime-version': 'v2-alpha-tpuv5-lite',
        'spot': True,
    }
    assert ssh['flags']['worker'] == 'all'
    assert all(call['name'] == 'sero-train' for call in tried.calls)


def test_each_host_runs_the_command_with_its_arguments_as_they_were_given(run_script):
    tried = run_script(['ACTIVE'])
    asked = (tried.folder / 'docker').read_text().splitlines()
    assert asked[-len(_ARGUMENTS) - 3 :] == [_IMAGE, 'sero-train', *_ARGUMENTS, '--backend=jax']
    assert_is_sero_train(asked[-len(_ARGUMENTS) - 2 :])


def test_a_slice_that_is_taken_away_is_asked_for_again_and_the_run_goes_on(run_script):
    states = ['ACTIVE', 'ACTIVE', 'SUSPENDING', 'SUSPENDED', 'NOT_FOUND', 'ACTIVE']
    tried = run_script(states, (255, 0))
    assert tried.status == 0, tried.said
    assert tried.verbs == ['ssh', 'delete', 'create', 'ssh', 'delete']
    assert 'the slice is gone; the run goes on from its last checkpoint' in tried.said
    commands = [call['flags']['command'] for call in tried.calls if call['verb'] == 'ssh']
    assert commands[0] == commands[1]


def test_an_error_of_the_user_is_not_tried_again_and_costs_no_more(run_script):
    tried = run_script(['ACTIVE'], (2,))
    assert tried.status == 2
    assert tried.verbs == ['ssh', 'delete']
    assert tried.said[-1] == 'sero-train has failed with status 2, and the slice is still there: see above'


def test_a_request_that_fails_is_not_repeated(run_script):
    tried = run_script(['NOT_FOUND', 'FAILED'])
    assert (tried.status, tried.verbs) == (1, ['create', 'delete'])


def test_google_out_of_reach_is_waited_for_and_not_taken_for_a_missing_slice(run_script):
    tried = run_script(['UNAVAILABLE', 'UNAVAILABLE', 'ACTIVE'])
    assert (tried.status, tried.verbs) == (0, ['ssh', 'delete'])
    tried = run_script(['UNAVAILABLE'])
    assert tried.status == 1


@pytest.mark.parametrize('name', ['PROJECT', 'ZONE', 'IMAGE'])
def test_a_setting_that_is_missing_is_named(run_script, name):
    tried = run_script(['ACTIVE'], **{name: ''})
    assert tried.status != 0 and tried.calls == []
    assert f'{name}: is needed' in ' '.join(tried.said)


def test_a_misspelt_flag_is_refused(run_script, tmp_path):
    text = _SCRIPT.read_text()
    of_gcloud = re.findall(r'gcloud compute(?:\\\n|[^\n])*|^place=.*', text, re.MULTILINE)
    flags = sorted(set(re.findall(r'--[a-z-]+', ' '.join(of_gcloud))))
    assert {'--project', '--zone', '--accelerator-type', '--spot', '--worker', '--force'} <= set(flags)
    for flag in flags:
        changed = tmp_path / 'changed.sh'
        body = text.partition('set -euo')
        changed.write_text(body[0] + body[1] + re.sub(rf'{flag}\b', f'{flag}x', body[2]))
        tried = run_script(['NOT_FOUND', 'ACTIVE'], script=changed, SERVICE_ACCOUNT='s@p.iam.gserviceaccount.com')
        assert tried.status != 0, flag
