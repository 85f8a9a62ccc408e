import pytest

from trainer.evaluation.cell_warnings import CellWarning, count_outside_training_range, join_codes

NOISE, FEW = CellWarning('noise_high', 'The noise is high.'), CellWarning('few_spikes', 'One spike only.')
HUM = CellWarning('hum', 'Mains hum.')


def test_a_warning_reads_as_its_sentence_and_is_joined_by_its_code():
    assert f'{NOISE} {HUM}' == 'The noise is high. Mains hum.'
    assert join_codes((NOISE, HUM)) == 'noise_high;hum'
    assert join_codes(()) == ''


def test_a_code_that_is_not_documented_is_refused():
    with pytest.raises(ValueError, match="warning code 'loud': expected one of resampled, "):
        CellWarning('loud', 'It is loud.')


def test_cells_outside_the_training_range_are_counted_once_each_and_by_code():
    assert count_outside_training_range([(NOISE, FEW, HUM), (HUM,), (), (FEW, FEW)]) == (
        2,
        {'noise_high': 1, 'few_spikes': 2},
    )
