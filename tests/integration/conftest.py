"""The demo recordings and what is built from them, for the tests of frozen bytes; made once a session."""

import pathlib

import pytest

from tests.integration.frozen_files import checked_run


@pytest.fixture(scope='session')
def frozen_recordings(tmp_path_factory) -> pathlib.Path:
    """The recordings of the profile `demo`. Read only."""
    root = tmp_path_factory.mktemp('frozen') / 'recordings'
    checked_run('beam_pipelines.simulate', '--output_dir', root, '--profile', 'demo')
    return root


@pytest.fixture(scope='session')
def frozen_data_dir(frozen_recordings, tmp_path_factory) -> pathlib.Path:
    """The datasets that sero-build makes of them with its default flags. Read only."""
    folder = tmp_path_factory.mktemp('frozen_built') / 'data'
    checked_run('sero-build', '--recordings', frozen_recordings, '--data_dir', folder)
    return folder
