"""The script for TPU VMs: by shellcheck, and run against stand-ins for gcloud and Docker that know their flags."""

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
from tests.support import docker_stand_in, gcloud_stand_in
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


def _write(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Tried:
    """What a run of the script said, ended with, and asked of gcloud."""

    def __init__(self, folder: pathlib.Path, result: subprocess.CompletedProcess):
        self.folder = folder
        self.status = result.returncode
        self.said = [line.split(' ', 2)[-1] for line in result.stderr.splitlines()]
        self.calls = self._read('calls.jsonl')
        self.docker: list[list[str]] = self._read('docker.jsonl')

    def _read(self, name: str) -> list:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

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
    _write(programs / 'docker', f'#!/bin/sh\nexec {sys.executable} {docker_stand_in.__file__} "$@"\n')

    def run(states: list[str], statuses: Sequence[int] = (0,), script: pathlib.Path = _SCRIPT, **changes: str) -> Tried:
        (tmp_path / 'plan.json').write_text(json.dumps({'states': states, 'statuses': statuses}))
        settings = {'PROJECT': 'p', 'ZONE': 'us-west4-a', 'IMAGE': _IMAGE, 'SECONDS_BETWEEN_LOOKS': '0'}
        stand_ins = dict.fromkeys(('GCLOUD_STAND_IN', 'DOCKER_STAND_IN'), str(tmp_path))
        places = {'PATH': f'{programs}:{os.environ["PATH"]}', **stand_ins}
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
    assert [command[0] for command in tried.docker] == ['rm', 'login', 'run']
    asked = docker_stand_in.parse(tried.docker[-1])
    assert asked['image'] == _IMAGE
    assert_is_sero_train(asked['command'])
    _, *arguments, backend, cache = asked['command']
    assert (arguments, backend) == (_ARGUMENTS, '--backend=jax')
    # A folder of the host, so that what could not be uploaded is there when the container is not.
    folder = cache.removeprefix('--cache_dir=')
    assert asked['volume'] == f'{folder}:{folder}' and folder.startswith('/')


def test_a_misspelt_flag_of_docker_is_refused(run_script):
    tried = 0
    for command in run_script(['ACTIVE']).docker:
        own = command[: command.index(_IMAGE)] if _IMAGE in command else command
        for number, argument in enumerate(own):
            if argument.startswith('-'):
                tried += 1
                name, separator, value = argument.partition('=')
                with pytest.raises(SystemExit):
                    docker_stand_in.parse([*command[:number], f'{name}x{separator}{value}', *command[number + 1 :]])
                    pytest.fail(f'{argument} may be misspelt')
    assert tried >= 10


def test_a_slice_that_is_taken_away_is_asked_for_again_and_the_run_goes_on(run_script):
    states = ['ACTIVE', 'ACTIVE', 'SUSPENDING', 'SUSPENDED', 'NOT_FOUND', 'ACTIVE']
    tried = run_script(states, (255, 0))
    assert tried.status == 0, tried.said
    assert tried.verbs == ['ssh', 'delete', 'create', 'ssh', 'delete']
    assert 'the slice is gone; the run goes on from its last checkpoint' in tried.said
    commands = [call['flags']['command'] for call in tried.calls if call['verb'] == 'ssh']
    assert commands[0] == commands[1]


def test_wrong_arguments_are_not_tried_again_and_cost_no_more(run_script):
    tried = run_script(['ACTIVE'], (2,))
    assert tried.status == 2
    assert tried.verbs == ['ssh', 'delete']
    assert tried.said[-1] == 'sero-train has failed with status 2, and the slice is still there: see above'


def test_a_run_that_fails_is_tried_again_on_the_same_slice_before_that_is_deleted(run_script):
    tried = run_script(['ACTIVE'], (1, 1, 0))
    assert tried.status == 0, tried.said
    assert tried.verbs == ['ssh', 'ssh', 'ssh', 'delete']
    assert [line for line in tried.said if line.startswith('attempt')] == ['attempt 2 of 4', 'attempt 3 of 4']


def test_a_run_that_fails_again_and_again_costs_no_more(run_script):
    tried = run_script(['ACTIVE'], (1,))
    assert tried.status == 1
    assert tried.verbs == [*['ssh'] * 4, 'delete']


def test_a_new_slice_has_all_attempts(run_script):
    # Each failure is followed by five looks, the loss of the slice by one.
    states = [*['ACTIVE'] * 18, 'ACTIVE', 'NOT_FOUND', 'NOT_FOUND', 'ACTIVE']
    tried = run_script(states, (1, 1, 1, 255, 1, 0))
    assert tried.status == 0, tried.said
    assert tried.verbs == [*['ssh'] * 4, 'create', 'ssh', 'ssh', 'delete']


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
