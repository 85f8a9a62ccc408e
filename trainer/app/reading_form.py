"""How a recording is read, as the page's form has it: text fields in, reading options out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import get_args

import msgspec

from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.recordings.plain_reader import PLAIN_SUFFIXES
from beam_pipelines.recordings.reading_options import Polarity, ReadingOptions, SpikeCutting

_FIELD_OF_REASON = {
    'wrong_unit': 'channel',
    'wrong_channel': 'channel',
    'voltage': 'channel',
    'suspicious_scale': 'scale',
    'no_spikes': 'trigger_pa',
    'inverted': 'polarity',
    'wrong_rate': 'resample',
}
# It is by what they are, not by how they are read, that these files are rejected.
_NOT_BY_READING = {'bad_name', 'unknown_format', 'not_a_file', 'duplicate_cell', 'duplicate_file'}


def field_that_mends(reason: str, name: str) -> str:
    """Returns the field by which a file may be read after all; empty if there is none.

    Parameters
    ----------
    reason : why it was rejected.
    name : of the file.
    """
    if reason == 'wrong_rate' and name.lower().endswith(PLAIN_SUFFIXES):
        return 'sampling_rate_hz'
    return _FIELD_OF_REASON.get(reason, '')


def may_be_mended(reason: str) -> bool:
    """Whether a rejected file may be used after all if it is read in another way, or as it was meant to be."""
    return reason not in _NOT_BY_READING


class FieldError(UserError):
    """A field of the form cannot be used.

    Attributes
    ----------
    name : of the field.
    """

    def __init__(self, name: str, problem: str):
        super().__init__(problem)
        self.name = name


@dataclasses.dataclass(frozen=True)
class ReadingForm:
    """The fields as text; an empty one stands for what the model was trained with.

    Attributes
    ----------
    channel, polarity, trigger_pa, scale, sampling_rate_hz : see ``ReadingOptions`` and ``SpikeCutting``.
    resample : ``on`` or empty.
    """

    channel: str = ''
    polarity: str = 'auto'
    trigger_pa: str = ''
    scale: str = ''
    sampling_rate_hz: str = ''
    resample: str = ''


def read_form(fields: Mapping[str, str], trained: SpikeCutting) -> ReadingOptions:
    """Returns the options that a form stands for.

    Parameters
    ----------
    fields : the form's, by the names of ``ReadingForm``; missing ones are empty, others are ignored.
    trained : how the spikes were cut that the model was trained on.

    Raises
    ------
    FieldError
        If a field cannot be used.
    """
    names = [field.name for field in dataclasses.fields(ReadingForm)]
    form = ReadingForm(**{name: fields[name].strip() for name in names if name in fields})
    if form.polarity not in get_args(Polarity):
        raise FieldError('polarity', f'Polarity is one of {", ".join(get_args(Polarity))}.')
    trigger_pa = _number(form, 'trigger_pa')
    if trigger_pa is not None and trigger_pa >= 0:
        raise FieldError('trigger_pa', 'The threshold is below zero, such as -50: spikes point downward when found.')
    scale, rate_hz = _number(form, 'scale'), _number(form, 'sampling_rate_hz')
    if scale is not None and scale <= 0:
        raise FieldError('scale', 'The scale is above zero, such as 1000; polarity turns a recording.')
    if rate_hz is not None and rate_hz < 1:
        raise FieldError('sampling_rate_hz', 'The sampling rate is in Hz, such as 40000.')
    cutting = msgspec.structs.replace(trained, polarity=form.polarity)
    if trigger_pa is not None:
        cutting = msgspec.structs.replace(cutting, trigger_pa=trigger_pa, trigger_sd=None)
    if scale is not None:
        cutting = msgspec.structs.replace(cutting, scale=scale)
    return ReadingOptions(form.resample == 'on', form.channel or None, cutting, rate_hz)


def check_options(options: ReadingOptions, trained: SpikeCutting) -> None:
    """Raises UsageError if the form would not take what flags say."""
    try:
        read_form(dataclasses.asdict(form_of(options, trained)), trained)
    except FieldError as error:
        raise UsageError(f'--{error.name}: {error}') from None


def form_of(options: ReadingOptions, trained: SpikeCutting) -> ReadingForm:
    """Returns the form that stands for options: ``read_form`` of it gives them again."""
    cutting = options.cutting
    as_trained = (cutting.trigger_pa, cutting.trigger_sd) == (trained.trigger_pa, trained.trigger_sd)
    return ReadingForm(
        options.channel or '',
        cutting.polarity,
        '' if as_trained else _text(cutting.trigger_pa),
        '' if cutting.scale == trained.scale else _text(cutting.scale),
        '' if options.sampling_rate_hz is None else _text(options.sampling_rate_hz),
        'on' if options.resample else '',
    )


def trained_words(trained: SpikeCutting) -> dict[str, str]:
    """Returns what an empty field stands for."""
    by_noise = None if trained.trigger_sd is None else f'{-trained.trigger_sd:g} SD of the noise'
    return {'trigger_pa': by_noise or f'{trained.trigger_pa:g}', 'scale': f'{trained.scale:g}'}


def _text(number: float) -> str:
    return f'{number:.15g}'  # all digits that a float holds for sure


def _number(form: ReadingForm, name: str) -> float | None:
    text = getattr(form, name)
    if not text:
        return None
    try:
        value = float(text.replace('\N{MINUS SIGN}', '-'))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FieldError(name, f'{text!r} is not a number.')
    return value
