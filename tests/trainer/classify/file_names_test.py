import ntpath
import sys

import pytest

from trainer.classify.file_names import name_files


def test_a_file_is_named_after_its_cell():
    assert name_files(['A140313#073', '2024_03_07_0002'], '.nwb') == ['A140313#073.nwb', '2024_03_07_0002.nwb']


@pytest.mark.parametrize(
    ('cell_id', 'name'),
    [
        ('a<b>:"c/d\\e|f?g*', 'a_b___c_d_e_f_g_.nwb'),
        ('NUL', '_NUL.nwb'),
        ('com1', '_com1.nwb'),
        ('aux.2', '_aux.2.nwb'),
        ('consul', 'consul.nwb'),
        ('cell.', 'cell..nwb'),
    ],
)
def test_what_windows_forbids_is_not_in_a_name(cell_id, name):
    assert name_files([cell_id], '.nwb') == [name]
    if sys.version_info >= (3, 13):
        assert not ntpath.isreserved(name)


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        ('A#1', 'A#1'),
        ('A#1', 'a#1'),
        ('A?1', 'A*1'),
        ('caf\N{LATIN SMALL LETTER E WITH ACUTE}', 'cafe\N{COMBINING ACUTE ACCENT}'),
    ],
)
def test_no_file_replaces_another_where_case_and_coding_do_not_count(first, second):
    _, name = name_files([first, second], '.nwb')
    assert name == name_files([second], '.nwb')[0].replace('.nwb', '-2.nwb')


def test_a_number_that_a_cell_has_by_itself_is_not_given_again():
    assert name_files(['a-2', 'a', 'a'], '.nwb') == ['a-2.nwb', 'a.nwb', 'a-3.nwb']
