import dataclasses

import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, ReadingOptions, SpikeCutting
from trainer.app.reading_form import (
    FieldError,
    ReadingForm,
    field_that_mends,
    form_of,
    may_be_mended,
    read_form,
)

BY_NOISE = SpikeCutting(baseline='running', trigger_sd=5.0)
AS_TRAINED = ReadingOptions(cutting=SpikeCutting(baseline='running', trigger_sd=5.0, polarity='auto'))


def test_an_empty_form_reads_as_in_training():
    assert read_form({'polarity': 'auto'}, BY_NOISE) == AS_TRAINED
    assert form_of(AS_TRAINED, BY_NOISE) == ReadingForm()


def test_a_threshold_takes_the_place_of_one_by_noise():
    cutting = read_form({'trigger_pa': '\N{MINUS SIGN}30'}, BY_NOISE).cutting
    assert (cutting.trigger_pa, cutting.trigger_sd, cutting.baseline) == (-30.0, None, 'running')


def test_a_form_is_shown_as_it_was_filled_in():
    form = ReadingForm('Im', 'up', '-30', '1000', '24414.0625', 'on')
    assert form_of(read_form(dataclasses.asdict(form), BY_NOISE), BY_NOISE) == form


@pytest.mark.parametrize(
    ('name', 'value', 'problem'),
    [
        ('trigger_pa', '50', 'below zero'),
        ('trigger_pa', 'deep', "'deep' is not a number"),
        ('scale', '0', 'above zero'),
        ('scale', 'nan', 'not a number'),
        ('sampling_rate_hz', '-1', 'in Hz'),
        ('polarity', 'sideways', 'down, up, auto'),
    ],
)
def test_a_field_that_cannot_be_used_is_named(name, value, problem):
    with pytest.raises(FieldError, match=problem) as caught:
        read_form({name: value}, DEFAULT_CUTTING)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ('reason', 'name', 'field'),
    [
        ('wrong_rate', 'A.abf', 'resample'),
        ('wrong_rate', 'A.NPY', 'sampling_rate_hz'),
        ('suspicious_scale', 'A.abf', 'scale'),
        ('truncated', 'A.abf', ''),
    ],
)
def test_a_rejection_names_the_field_that_mends_it(reason, name, field):
    assert field_that_mends(reason, name) == field


def test_a_way_of_reading_mends_no_duplicate():
    assert may_be_mended('not_finite') and not may_be_mended('duplicate_cell')
