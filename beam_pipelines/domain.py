"""Constants and names that all modules share: sampling rate, spike window, trigger, labels, recording sets."""

SAMPLING_RATE_HZ = 40_000
SPIKE_SAMPLES = 160  # 4 ms
SAMPLES_BEFORE_TRIGGER = 40  # 1 ms
TRIGGER_PA = -50.0
MAX_TRIGGER = 2**35 - 1  # the largest sample index that fits in a record; ten days at 40 kHz

# The position in this tuple is the stored label: 0 SER, 1 NSER (the published order).
LABEL_NAMES = ('SER', 'NSER')

# The two sets of recordings under a recordings root.
RECORDING_SETS = ('original', 'non_homogeneous')


def recording_day(cell_id: str) -> str:
    """Returns the recording day of a cell: the part of its id before ``#`` (``A140313#073`` -> ``A140313``).

    A cell id without ``#`` is a day of its own.
    """
    return cell_id.partition('#')[0]
