"""The flags that say how recordings are read, of sero-classify and sero-app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:
    from beam_pipelines.recordings.reading_options import ReadingOptions, SpikeCutting

READING_FLAGS = ('resample', 'polarity', 'scale', 'channel', 'sampling_rate_hz')


def define_reading_flags() -> None:
    """Defines ``READING_FLAGS``; a command declares them as its own, so that its ``--help`` has them."""
    flags.DEFINE_bool('resample', False, 'Resample recordings of other rates, from 10000 Hz on, to 40000 Hz.')
    flags.DEFINE_enum('polarity', 'auto', ['down', 'up', 'auto'], 'Where spikes point; auto: where larger peaks point.')
    flags.DEFINE_float(
        'scale',
        None,
        'Multiply the current with this number, such as 1000 for nA labelled pA; default: as in training.',
    )
    flags.DEFINE_string('channel', None, 'Name or number (from 0) of the channel to read; default: the one in pA.')
    flags.DEFINE_float(
        'sampling_rate_hz', None, 'Rate of .csv and .npy recordings, which do not hold it.', lower_bound=1.0
    )


def options_of_flags(trained: SpikeCutting) -> ReadingOptions:
    """Returns how recordings are read according to the flags.

    Parameters
    ----------
    trained : how the spikes were cut that the model was trained on; it holds where no flag says otherwise.
    """
    # Imported here, so that --help is immediate.
    import msgspec

    from beam_pipelines.recordings.reading_options import ReadingOptions, check_cutting_flags

    values = flags.FLAGS
    cutting = msgspec.structs.replace(trained, polarity=values.polarity)
    if values.scale is not None:
        cutting = msgspec.structs.replace(cutting, scale=values.scale)
        check_cutting_flags(cutting)
    return ReadingOptions(values.resample, values.channel, cutting, values.sampling_rate_hz)
