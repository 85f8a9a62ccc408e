"""The time zone, the umask and how Python is started change no byte of what a command writes."""

import hashlib
import os
import pathlib
import subprocess
import sys

import pytest

from tests.support.commands import MODULES
from tests.support.places import ROOT
from tests.support.recordings import NUM_MASKS
from tests.support.requirements import needs_posix

pytestmark = pytest.mark.slow

_ENVIRONMENT = {
    'TZ': 'Pacific/Kiritimati',
    'LC_ALL': 'tr_TR.UTF-8',
    'PYTHONHASHSEED': '5',
    'PYTHONOPTIMIZE': '1',
    'PYTHONPATH': str(ROOT),
}


def _checksums(folder: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file()
    }


@needs_posix
def test_datasets_are_the_same_bytes_with_the_access_that_the_umask_gives(recordings_root, data_dir, tmp_path):
    data = tmp_path / 'data'
    command = [
        sys.executable, '-m', MODULES['sero-build'], '--recordings', recordings_root, '--data_dir', data,
        '--configs', 'original,non_homogeneous,synthetic_small', '--num_masks', str(NUM_MASKS),
    ]  # fmt: skip
    result = subprocess.run(
        command, env=os.environ | _ENVIRONMENT, umask=0o027, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert _checksums(data) == _checksums(data_dir)
    modes = {path.stat().st_mode & 0o777 for path in data.rglob('*') if path.is_file()}
    assert modes == {0o640}
