"""What a recording, a spike and a label are: the constants and names that every other module shares."""

SAMPLING_RATE_HZ = 40_000
SPIKE_SAMPLES = 160  # 4 ms
SAMPLES_BEFORE_TRIGGER = 40  # 1 ms
TRIGGER_PA = -50.0
MAX_TRIGGER = 2**35 - 1  # the largest sample index that a record has room for; ten days at 40 kHz

# The position in this tuple is the label that is stored: 0 SER, 1 NSER (the published order).
LABEL_NAMES = ('SER', 'NSER')

# The two sets of recordings under a recordings root.
RECORDING_SETS = ('original', 'non_homogeneous')


def recording_day(cell_id: str) -> str:
    """Returns the recording day of a cell: what stands before ``#`` (``A140313#073`` -> ``A140313``).

    A cell id without ``#`` is a day of its own.
    """
    return cell_id.partition('#')[0]
