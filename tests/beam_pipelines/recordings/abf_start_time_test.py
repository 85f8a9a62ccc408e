import datetime

import pytest

from beam_pipelines.recordings.abf_start_time import read_start_time
from tests.support.places import SHARED
from tests.support.requirements import needs_shared

ABF = SHARED / 'data' / 'abf'


@needs_shared
@pytest.mark.parametrize(
    ('name', 'start'),
    [
        ('18425108_abf1.abf', datetime.datetime(2018, 4, 25, 15, 47, 51, 40_000)),
        ('test_0001.abf', datetime.datetime(2021, 7, 15, 13, 10, 30, 858_000)),  # ABF2
        ('invalidDate-abf2.abf', None),
        ('130618-1-12.abf', None),  # the year has two digits, which pyABF takes for 1806
    ],
)
def test_start_is_that_of_the_header(name, start):
    assert read_start_time(ABF / name) == start


def test_header_without_a_date_has_no_start(recordings_root):
    # pyABF would give the time of the file.
    assert read_start_time(next(recordings_root.rglob('*.abf'))) is None


@pytest.mark.parametrize('content', [b'', b'ABF ', b'ABF2' + bytes(100), b'time_s' + bytes(1000)])
def test_file_that_is_no_abf_file_has_no_start(content, tmp_path):
    path = tmp_path / 'file.abf'
    path.write_bytes(content)
    assert read_start_time(path) is None


def test_missing_file_has_no_start(tmp_path):
    assert read_start_time(tmp_path / 'gone.abf') is None
