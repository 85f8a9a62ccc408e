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
_YEAR, _MONTH, _DAY = '(?P<year>(?:19|20)[0-9]{2})', '(?P<month>0[1-9]|1[0-2])', '(?P<day>0[1-9]|[12][0-9]|3[01])'
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # pCLAMP since 10.7, and most people: 2024_03_07_0002, 20240307.
        rf'(?<![0-9]){_YEAR}(?P<mark>[-_. ]?){_MONTH}(?P=mark){_DAY}(?![0-9])',
        # 07-03-2024, with the month first where it must be.
        rf'(?<![0-9]){_DAY}(?P<mark>[-_. ]){_MONTH}(?P=mark){_YEAR}(?![0-9])',
        rf'(?<![0-9]){_MONTH}(?P<mark>[-_. ]){_DAY}(?P=mark){_YEAR}(?![0-9])',
        # pCLAMP before: year, month as 1 to 9 or o, n, d, day, number: 18425108, 17o05027.
        rf'^(?P<year>[0-9]{{2}})(?P<month>[1-9ond]){_DAY}[0-9]{{3}}(?![0-9])',
        # 07032024
        rf'(?<![0-9]){_DAY}{_MONTH}{_YEAR}(?![0-9])',
        # 171116sh_0014
        rf'^[a-z]?(?P<year>[0-9]{{2}}){_MONTH}{_DAY}(?![0-9])',
    )
)
_LETTERS_OF_MONTHS = {'o': 10, 'n': 11, 'd': 12}
_FIRST_YEAR = 70  # 70 to 99 are of the last century

# A day as the authors write it, which stays as it is: A140313.
_PUBLISHED_DAY = re.compile(r'[A-Za-z]{1,3}[0-9]{4,6}')

# The two sets of recordings under a recordings root.
RECORDING_SETS = ('original', 'non_homogeneous')


def recording_day(cell_id: str, pattern: str | None = None) -> str:
    """Returns the recording day of a cell; the cell id itself if no day is recognised, see ``find_recording_day``."""
    return find_recording_day(cell_id, pattern) or cell_id


def find_recording_day(cell_id: str, pattern: str | None = None) -> str | None:
    """Finds the recording day in a cell id.

    Parameters
    ----------
    cell_id : such as ``A140313#073`` or ``2024_03_07_0002``.
    pattern : a regular expression whose first group, or whose match if it has none, is the day; None: the part before
        ``#``, or a date in the name as acquisition programs and people write it (``2024_03_07``, ``07-03-2024``,
        ``24307`` for 7 March 2024, ``240307``).

    Returns
    -------
    The day: as it stands in the cell id, but a date as ``2024-03-07``, so that one day in two spellings is one day.
    None if no day is recognised.
    """
    if pattern is not None:
        match = re.search(pattern, cell_id)
        return match[min(match.re.groups, 1)] or None if match else None
    day, hash_sign, _ = cell_id.partition('#')
    if hash_sign and _PUBLISHED_DAY.fullmatch(day):
        return day
    dates = filter(None, (date.search(day) for date in _DATES))
    return next(map(_iso_date, dates), (day or None) if hash_sign else None)


def _iso_date(match: re.Match[str]) -> str:
    year, month = int(match['year']), match['month'].lower()
    if year < 100:
        year += 1900 if year >= _FIRST_YEAR else 2000
    return f'{year}-{_LETTERS_OF_MONTHS.get(month) or int(month):02}-{match["day"]}'
