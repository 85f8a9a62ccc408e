"""Stands in for gcloud: knows the flags of some of its commands, and plays what a TPU slice goes through.

A folder that ``GCLOUD_STAND_IN`` names holds ``plan.json``, what each look at the slice and each attempt to train is to
find, and gets ``calls.jsonl``, the commands that were given. What Google makes of them it cannot tell.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

_EVERYWHERE = 'account billing-project configuration format impersonate-service-account project quiet verbosity'
# From docs.cloud.google.com/sdk/gcloud/reference, read on 2026-11-27, and the program's own tpu_vm/ssh.py.
_COMMANDS = {
    'ai custom-jobs create': (
        'args command config display-name enable-dashboard-access enable-web-access kms-key kms-keyring kms-location'
        ' kms-project labels network persistent-resource-id python-package-uris region service-account worker-pool-spec'
    ),
    'dataflow flex-template build': (
        'additional-experiments additional-user-labels cloud-build-service-account dataflow-kms-key disable-public-ips'
        ' enable-streaming-engine env flex-template-base-image gcs-log-dir go-binary-path image image-gcr-path'
        ' image-repository-cert-path image-repository-password-secret-id image-repository-username-secret-id jar'
        ' max-workers metadata-file network num-workers print-only py-path sdk-language service-account-email'
        ' staging-location subnetwork temp-location worker-machine-type worker-region worker-zone yaml-image'
        ' yaml-pipeline-path'
    ),
    'compute tpus queued-resources create': (
        'accelerator-type async boot-disk data-disk description guaranteed internal-ips labels metadata'
        ' metadata-from-file network node-count node-id node-prefix range reserved runtime-version scopes'
        ' service-account shielded-secure-boot spot subnetwork tags topology type valid-after-duration valid-after-time'
        ' valid-until-duration valid-until-time zone'
    ),
    'compute tpus queued-resources describe': 'zone',
    'compute tpus queued-resources delete': 'async force zone',
    'compute tpus tpu-vm ssh': (
        'command dry-run force-key-file-overwrite internal-ip output-directory plain ssh-flag ssh-key-expiration'
        ' ssh-key-expire-after ssh-key-file strict-host-key-checking worker zone'
    ),
}
_NEEDED = {
    'ai custom-jobs create': ('config', 'display-name'),
    'dataflow flex-template build': ('image', 'sdk-language'),
    'compute tpus queued-resources create': ('accelerator-type', 'node-id', 'runtime-version', 'zone'),
}
_NAMELESS = ('ai custom-jobs create',)
_SWITCHES = 'async dry-run force guaranteed internal-ip internal-ips plain quiet reserved shielded-secure-boot spot'


def parse(arguments: list[str]) -> tuple[str, str | None, dict[str, str | bool]]:
    """Returns the command, what it is to act on, and its flags; SystemExit if gcloud has no such command or flag."""
    command = next((name for name in _COMMANDS if arguments[: len(name.split())] == name.split()), None)
    if command is None:
        sys.exit(f'ERROR: (gcloud) Invalid choice: {" ".join(arguments[:4])}')
    parser = argparse.ArgumentParser(prog='gcloud', allow_abbrev=False)
    if command not in _NAMELESS:
        parser.add_argument('name')
    for flag in f'{_COMMANDS[command]} {_EVERYWHERE}'.split():
        action = 'store_true' if flag in _SWITCHES.split() else 'store'
        parser.add_argument(f'--{flag}', action=action, required=flag in _NEEDED.get(command, ()), dest=flag)
    given = vars(parser.parse_args(arguments[len(command.split()) :]))
    return command, given.pop('name', None), {flag: value for flag, value in given.items() if value}


def _next(folder: pathlib.Path, key: str) -> str | int:
    """Returns what the plan has next; the last of each kind stays."""
    path = folder / 'plan.json'
    plan = json.loads(path.read_text())
    value = plan[key][0]
    if len(plan[key]) > 1:
        del plan[key][0]
    path.write_text(json.dumps(plan))
    return value


def main() -> int:
    folder = pathlib.Path(os.environ['GCLOUD_STAND_IN'])
    command, name, flags = parse(sys.argv[1:])
    verb = command.rpartition(' ')[2]
    with open(folder / 'calls.jsonl', 'a') as calls:
        calls.write(json.dumps({'verb': verb, 'name': name, 'flags': flags}) + '\n')
    if verb == 'describe':
        state = str(_next(folder, 'states'))
        print('WARNING: as gcloud has many of them', file=sys.stderr)
        if state in ('NOT_FOUND', 'UNAVAILABLE'):
            print(f'ERROR: (gcloud.{command.replace(" ", ".")}) {state}: {name}', file=sys.stderr)
            return 1
        print(state)
    if verb == 'ssh':
        subprocess.run(['bash', '-c', flags['command']], check=True)
        return int(_next(folder, 'statuses'))
    return 0


if __name__ == '__main__':
    sys.exit(main())
