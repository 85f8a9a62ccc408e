"""Constants and names that all modules share: sampling rate, spike window, trigger, labels, recording sets."""

import re

SAMPLING_RATE_HZ = 40_000
SPIKE_SAMPLES = 160  # 4 ms
SAMPLES_BEFORE_TRIGGER = 40  # 1 ms
TRIGGER_PA = -50.0
MAX_TRIGGER = 2**35 - 1  # the largest sample index that fits in a record; ten days at 40 kHz

# The position in this tuple is the stored label: 0 SER, 1 NSER (the published order).
LABEL_NAMES = ('SER', 'NSER')

# Dates in the names of recordings, the most certain first.
_MONTH, _DAY = '(?:0[1-9]|1[0-2])', '(?:0[1-9]|[12][0-9]|3[01])'
_DATES = (
    # pCLAMP since 10.7, and most people: 2024_03_07_0002, 20240307.
    re.compile(rf'(?<![0-9])(?P<day>(?:19|20)[0-9]{{2}}([-_. ]?){_MONTH}\2{_DAY})(?![0-9])'),
    # pCLAMP before: year, month as 1 to 9 or o, n, d, day, number: 18425108, 17o05027.
    re.compile(rf'^(?P<day>[0-9]{{2}}[1-9ond]{_DAY})[0-9]{{3}}(?![0-9])', re.IGNORECASE),
    # 171116sh_0014
    re.compile(rf'^[A-Za-z]?(?P<day>[0-9]{{2}}{_MONTH}{_DAY})(?![0-9])'),
)

# The two sets of recordings under a recordings root.
RECORDING_SETS = ('original', 'non_homogeneous')


def recording_day(cell_id: str, pattern: str | None = None) -> str:
    """Returns the recording day of a cell.

    Parameters
    ----------
    cell_id : such as ``A140313#073`` or ``2024_03_07_0002``.
    pattern : a regular expression whose match in the cell id is the day; None: the part before ``#``, or a date in the
        name as acquisition programs write it (``2024_03_07``, ``18425`` for 25 April 2018, ``171116``).

    Returns
    -------
    The cell id itself if no day is recognised.
    """
    if pattern is not None:
        match = re.search(pattern, cell_id)
        return match[0] if match and match[0] else cell_id
    day, hash_sign, _ = cell_id.partition('#')
    if hash_sign:
        return day
    dates = filter(None, (date.search(cell_id) for date in _DATES))
    return next((match['day'] for match in dates), cell_id)
