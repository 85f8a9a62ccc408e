"""Nothing in the packages needs what only POSIX systems have."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.places import ROOT

_FILES = sorted(
    path.relative_to(ROOT)
    for package in ('beam_pipelines', 'tfds_sero', 'trainer')
    for path in (ROOT / package).rglob('*.py')
    # What they are for is on Linux alone: signals of lost pages, and hosts with accelerators.
    if path.name not in ('bus_errors.py', 'jax_hosts.py')
)
_MODULES = {'fcntl', 'grp', 'posix', 'pty', 'pwd', 'resource', 'termios', 'tty'}
# Paths of this machine have backslashes on Windows; a slash separates the parts of a URL there too.
_MODULES |= {'posixpath'}
_OF_OS = {
    'chown', 'fork', 'forkpty', 'getegid', 'geteuid', 'getgid', 'getpgid', 'getuid', 'killpg', 'mkfifo', 'nice',
    'sched_getaffinity', 'sched_setaffinity', 'setpgid', 'setsid', 'statvfs', 'sysconf', 'uname',
    # A folder cannot be opened on Windows.
    'O_DIRECTORY',
}  # fmt: skip
_OF_SIGNAL = {'SIGALRM', 'SIGHUP', 'SIGKILL', 'SIGPIPE', 'SIGUSR1', 'SIGUSR2', 'pthread_kill', 'pthread_sigmask'}
_ROOTS = ('/proc', '/dev/', '/sys/', '/tmp', '/etc/')


def _problems(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, 'module', None) or '']
            yield from ((node.lineno, name) for name in names if name in _MODULES)
        elif isinstance(node, ast.Attribute):
            owner = getattr(node.value, 'id', '')
            if node.attr in {'os': _OF_OS, 'signal': _OF_SIGNAL}.get(owner, ()):
                yield node.lineno, f'{owner}.{node.attr}'
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and (node.value.startswith(_ROOTS) or node.value in ('fork', 'forkserver')):
                yield node.lineno, repr(node.value)
        elif isinstance(node, ast.Call):
            yield from _problems_of_call(node)


def _problems_of_call(call: ast.Call) -> Iterator[tuple[int, str]]:
    owner = getattr(getattr(call.func, 'value', None), 'id', None)
    name = getattr(call.func, 'attr', None) or getattr(call.func, 'id', '')
    arguments = [ast.unparse(argument) for argument in call.args]
    # It replaces a file on POSIX only, os.replace everywhere. Renaming a file to its own name asks whether one may.
    if name == 'rename' and owner != 'FileSystems' and len(set(arguments)) == len(arguments):
        yield call.lineno, 'rename'
    opens_text = owner is None and name == 'open' and not any('b' in argument for argument in arguments[1:2])
    is_of_path = isinstance(call.func, ast.Attribute) and name in ('read_text', 'write_text')
    if (opens_text or is_of_path) and not any(keyword.arg == 'encoding' for keyword in call.keywords):
        yield call.lineno, f'{name} without encoding'


@pytest.mark.parametrize('path', _FILES, ids=str)
def test_a_file_needs_nothing_of_posix(path):
    assert list(_problems(ast.parse((ROOT / path).read_text(encoding='utf-8')))) == []


@pytest.mark.parametrize(
    'program',
    [
        'import fcntl',
        'from resource import getrusage',
        'os.sched_getaffinity(0)',
        'os.rename(a, b)',
        'path.rename(b)',
        'signal.signal(signal.SIGHUP, stop)',
        "multiprocessing.get_context('fork')",
        "f = open('/proc/meminfo', 'rb')",
        'posixpath.basename(path)\nimport posixpath',
        'open(path)',
        "open(path, 'w')",
        'path.read_text()',
    ],
)
def test_what_only_posix_has_is_found(program):
    assert list(_problems(ast.parse(program)))
