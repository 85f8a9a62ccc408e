import numpy as np
import pytest

from beam_pipelines.recordings.abf_header import read_source
from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.cell_files import is_ignored
from beam_pipelines.recordings.sources import MADE, find_source, stamp_column, words_of_source


@pytest.mark.parametrize(
    ('names', 'found'),
    [
        ([], None),
        (['recorded'], None),
        (['unknown'], None),
        (['recorded', 'real_shapes'], 'real_shapes'),
        (['real_shapes', 'recorded', 'simulated'], 'simulated'),
    ],
)
def test_recordings_of_several_sources_count_as_the_least_real(names, found):
    source = find_source(names)
    assert (source and source.name) == found


def test_a_table_has_a_column_for_what_nobody_recorded():
    assert stamp_column([['recorded', 'recorded'], ['recorded']]) == {}
    assert stamp_column([['recorded', 'recorded'], ['recorded', 'simulated']]) == {'source': ['recorded', 'simulated']}


def test_a_source_has_words_for_a_sentence():
    assert words_of_source('recorded') == 'recorded recordings'
    assert words_of_source('simulated') == 'simulated recordings'
    assert words_of_source('real_shapes') == 'recordings of real spike shapes under simulated noise'


@pytest.mark.parametrize('made', MADE, ids=lambda made: made.name)
def test_a_file_says_what_made_it(tmp_path, made):
    write_abf(tmp_path / 'a.abf', np.ones(100, np.float32), 40_000, made.abf_comment)
    assert read_source(str(tmp_path / 'a.abf')) == made.name
    assert is_ignored(made.root_file)


def test_a_file_without_a_mark_is_recorded(tmp_path):
    write_abf(tmp_path / 'a.abf', np.ones(100, np.float32), 40_000, b'cell 3, simulated stimulus')
    assert read_source(str(tmp_path / 'a.abf')) == 'recorded'
