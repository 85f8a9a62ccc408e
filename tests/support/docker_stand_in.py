"""Stands in for Docker on a host: knows the flags of some of its commands, and runs nothing.

A folder that ``DOCKER_STAND_IN`` names gets ``docker.jsonl``, the arguments of each command.
"""

import argparse
import json
import os
import pathlib
import sys

# From docs/reference/commandline of github.com/docker/cli, read on 2026-11-28.
_FLAGS = {
    'run': (
        'add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile'
        ' cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus'
        ' cpuset-mems detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps'
        ' device-write-iops dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add'
        ' health-cmd health-interval health-retries health-start-interval health-start-period health-timeout hostname'
        ' io-maxbandwidth io-maxiops ip ip6 ipc isolation label label-file link link-local-ip log-driver log-opt'
        ' mac-address memory memory-reservation memory-swap memory-swappiness mount name network network-alias'
        ' oom-score-adj pid pids-limit platform publish pull restart runtime security-opt shm-size stop-signal'
        ' stop-timeout storage-opt sysctl tmpfs ulimit user userns uts volume volume-driver volumes-from workdir'
    ),
    'rm': '',
    'login': 'password username',
}
_SWITCHES = {
    'run': (
        'detach init interactive no-healthcheck oom-kill-disable privileged publish-all quiet read-only rm sig-proxy'
        ' tty use-api-socket'
    ),
    'rm': 'force link volumes',
    'login': 'password-stdin',
}
_NAMES = {'run': 'image', 'rm': 'container', 'login': 'server'}


def parse(arguments: list[str]) -> dict[str, str]:
    """Returns the flags of a command and what it acts on; SystemExit if Docker has no such command or flag."""
    command, *rest = arguments
    if command not in _FLAGS:
        sys.exit(f"docker: '{command}' is not a docker command.")
    parser = argparse.ArgumentParser(prog=f'docker {command}', allow_abbrev=False)
    for flag in _FLAGS[command].split():
        parser.add_argument(f'--{flag}', dest=flag)
    for flag in _SWITCHES[command].split():
        parser.add_argument(f'--{flag}', dest=flag, action='store_true')
    parser.add_argument(_NAMES[command])
    if command == 'run':
        parser.add_argument('command', nargs=argparse.REMAINDER)
    return {flag: value for flag, value in vars(parser.parse_args(rest)).items() if value not in (None, False)}


def main() -> int:
    parse(sys.argv[1:])
    with open(pathlib.Path(os.environ['DOCKER_STAND_IN']) / 'docker.jsonl', 'a') as calls:
        calls.write(json.dumps(sys.argv[1:]) + '\n')
    if sys.argv[1] == 'login':
        sys.stdin.read()  # the password
    return 0


if __name__ == '__main__':
    sys.exit(main())
