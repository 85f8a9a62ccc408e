"""Recordings and datasets are the same bytes as those of the version named in ``frozen/README.md``."""

import os
import shutil

import pytest

from tests.integration.frozen_files import (
    ROOT,
    SYNTHETIC_FLAGS,
    checked_run,
    checksums,
    frozen_checksums,
    on_cpu_of_frozen,
)

pytestmark = [pytest.mark.slow, on_cpu_of_frozen]


def test_simulated_recordings_are_the_same_bytes(frozen_recordings):
    assert checksums(frozen_recordings) == frozen_checksums('recordings')


def test_built_datasets_are_the_same_bytes(frozen_data_dir):
    assert checksums(frozen_data_dir / 'sero_spikes') == frozen_checksums('datasets')


def test_some_shards_of_synthetic_are_the_same_bytes(frozen_recordings, tmp_path):
    flags = (*SYNTHETIC_FLAGS, '--baseline', 'none', '--polarity', 'down')
    checked_run('beam_pipelines.build', '--recordings', frozen_recordings, '--data_dir', tmp_path, *flags)
    assert checksums(tmp_path / 'sero_spikes') == frozen_checksums('synthetic_part')


def test_tfds_build_gives_the_same_bytes(frozen_recordings, tmp_path):
    checked_run(
        'tfds', 'build', 'sero_spikes',
        '--config', 'original',
        '--data_dir', tmp_path,
        '--manual_dir', frozen_recordings,
        cwd=ROOT,
    )  # fmt: skip
    expected = {path: digest for path, digest in frozen_checksums('datasets').items() if path.startswith('original/')}
    assert checksums(tmp_path / 'sero_spikes') == expected


@pytest.mark.skipif(
    'SERO_FROZEN_SYNTHETIC' not in os.environ,
    reason='takes over a minute and 10 GB of disk: set SERO_FROZEN_SYNTHETIC=1',
)
def test_all_of_synthetic_is_the_same_bytes(frozen_recordings, tmp_path):
    checked_run(
        'sero-build',
        '--recordings', frozen_recordings,
        '--data_dir', tmp_path,
        '--configs', 'synthetic',
        '--',
        '--direct_running_mode=multi_processing',
        '--direct_num_workers=2',
    )  # fmt: skip
    try:
        assert checksums(tmp_path / 'sero_spikes') == frozen_checksums('synthetic')
    finally:
        shutil.rmtree(tmp_path / 'sero_spikes')
