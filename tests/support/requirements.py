"""What some tests need and not every machine has."""

import importlib.util
import os
import shutil

import pytest

from tests.support.places import SHARED

needs_gcp = pytest.mark.skipif(
    not importlib.util.find_spec('google.oauth2') or not importlib.util.find_spec('google.cloud.dataflow_v1beta3'),
    reason="Google's libraries are not here: pip install '.[gcp]'",
)
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason='../shared is not here')
needs_posix = pytest.mark.skipif(os.name != 'posix', reason='links and pipes of POSIX')
needs_r = pytest.mark.skipif(not shutil.which('Rscript'), reason='R is not here')
