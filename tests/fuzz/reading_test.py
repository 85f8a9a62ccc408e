import pathlib

import pytest

from beam_pipelines.recordings import plain_reader
from beam_pipelines.recordings.reading_options import ReadingOptions
from tests.fuzz.reading import CORPUS, check, mutated

_OPTIONS = ReadingOptions(sampling_rate_hz=40_000.0)
# Beyond the short run: pynwb takes half a second for a file.
_FILES = 250


@pytest.mark.parametrize(
    'path', [path for path in sorted(CORPUS.rglob('*')) if path.is_file()], ids=lambda path: path.name
)
def test_the_kept_files_are_good_ones(path):
    assert check(path, _OPTIONS) == 'used'


@pytest.mark.parametrize('only', ['.abf', '.wcp', '.smr', '.axgx', '.ibw', '.npy', '.csv'])
def test_mutated_files_end_in_a_result_or_a_reason(only, tmp_path):
    outcomes = set()
    for (name, content), _ in zip(mutated(1, only), range(_FILES // 7), strict=False):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        outcomes.add(check(path, _OPTIONS))
    assert len(outcomes) > 1


def test_the_series_depends_on_the_seed_alone():
    first, again, other = (
        [content for (_, content), _ in zip(mutated(seed), range(5), strict=False)] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_a_fault_of_our_own_is_a_finding(monkeypatch, tmp_path):
    monkeypatch.setattr(plain_reader, '_rate_hz', lambda *_: [][0])
    with pytest.raises(AssertionError, match='IndexError'):
        check(pathlib.Path(CORPUS / 'A1#10.csv'), _OPTIONS)
