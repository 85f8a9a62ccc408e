import pytest

from beam_pipelines.recordings import plain_reader
from beam_pipelines.recordings.reading_options import ReadingOptions
from tests.fuzz.child import random_numbers
from tests.fuzz.recordings import CORPUS, TARGETS, check

_OPTIONS = ReadingOptions(sampling_rate_hz=40_000.0)
# pynwb takes half a second for a file, so NWB is beyond the short run.
_QUICK = [target for target in TARGETS if target.name != 'nwb']
_EXECUTIONS = 35


@pytest.mark.parametrize(
    'path', [path for path in sorted(CORPUS.rglob('*')) if path.is_file()], ids=lambda path: path.name
)
def test_the_kept_files_are_good_ones(path):
    assert check(path, _OPTIONS) == 'used'


@pytest.mark.parametrize('target', _QUICK, ids=lambda target: target.name)
def test_changed_files_end_in_a_result_or_a_reason(target, tmp_path):
    execute = target.prepare(tmp_path)
    outcomes = {execute(random_numbers(1, target.name, number)) for number in range(_EXECUTIONS)}
    assert len(outcomes) > 1


def test_a_fault_of_our_own_is_a_finding(monkeypatch):
    monkeypatch.setattr(plain_reader, '_rate_hz', lambda *_: [][0])
    with pytest.raises(AssertionError, match='IndexError'):
        check(CORPUS / 'A1#10.csv', _OPTIONS)
