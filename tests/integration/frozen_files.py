"""What the tests of frozen bytes share: checksums of folders, rows of CSV files. It imports nothing of the product."""

import csv
import hashlib
import os
import pathlib
import subprocess
import sys

import pytest
from numpy.lib.introspect import opt_func_info

FROZEN = pathlib.Path(__file__).parent / 'frozen'
ROOT = FROZEN.parents[2]

# Small enough to build in every run of the tests, and several shards.
SYNTHETIC_FLAGS = ('--configs', 'synthetic', '--synthetic_examples', '20000,18000', '--max_shard_size_mb', '8')

# NumPy's exponentials differ in the last bit between vector units, so some simulated currents differ by one step of the
# converter. The frozen ones were simulated with AVX-512.
_VECTOR_UNIT = opt_func_info(func_name='^exp$', signature='float64')['exp']['dd']['current']
on_cpu_of_frozen = pytest.mark.skipif(
    not any(name in _VECTOR_UNIT for name in ('AVX512', 'X86_V4')),
    reason=f'the frozen recordings were simulated with AVX-512, and NumPy uses {_VECTOR_UNIT} here',
)

# These stand for the run, not for the data: times, versions and paths; the last two are in no early version.
_NOT_FROZEN = (
    *('dataset_info.json', 'metadata.json', 'rejected.jsonl', 'checksums.json', 'SIMULATED.json'),
    *('croissant.json', 'README.md'),
)


def run(program: str, *arguments: object, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess:
    """Runs a console script, or ``python -m MODULE`` where the program's name has a dot."""
    scripts = pathlib.Path(sys.executable).parent
    command = [sys.executable, '-m', program] if '.' in program else [str(scripts / program)]
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=cwd, env=environment
    )


def checked_run(program: str, *arguments: object, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess:
    """Does the same, and fails the test if the program fails."""
    result = run(program, *arguments, cwd=cwd)
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result


def checksums(folder: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of each data file below a folder by its path in it."""
    found = {}
    for path in sorted(folder.rglob('*')):
        if path.is_file() and path.name not in _NOT_FROZEN and not path.name.startswith('.'):
            with open(path, 'rb') as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return found


def frozen_checksums(name: str) -> dict[str, str]:
    """Returns the checksums in a frozen file of the form that ``sha256sum`` writes."""
    lines = (FROZEN / f'{name}.sha256').read_text().splitlines()
    checksums_of = {path: digest for digest, path in (line.split('  ', 1) for line in lines)}
    return {path.replace('/1.0.0/', '/1.1.0/'): digest for path, digest in checksums_of.items()}


def csv_rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def csv_header(path: pathlib.Path) -> str:
    return path.read_text().splitlines()[0]
