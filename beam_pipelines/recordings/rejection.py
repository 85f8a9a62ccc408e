"""Why a recording is not used: the one exception that readers raise, and its possible reasons."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence

from beam_pipelines.cli.words import printable, shortened

REASONS = {
    'not_abf': 'the file is not an ABF1 or ABF2 file',
    'not_a_file': 'a pipe, a device or a socket, and no regular file',
    'too_long': 'more samples or sweeps than can be read at once',
    'unreadable': 'the file cannot be opened, or the library that reads its format cannot read it',
    'bad_header': 'the header contradicts itself or names places outside the file',
    'bad_array': 'not an .npy file of one current: (n,) numbers in pA, without Python objects',
    'failed': 'sero-spikes itself failed on the file; please report it with the detail',
    'missing_library': 'the library that reads this format is not installed',
    'truncated': 'the header promises more samples than the file holds',
    'wrong_unit': 'no channel, or more than one, holds a current; --channel names one',
    'wrong_channel': 'there is no channel as named by --channel',
    'voltage': 'the channel is a voltage, and no current',
    'suspicious_scale': 'the current makes no sense in its unit; --scale corrects it',
    'wrong_rate': 'the sampling rate is not 40 kHz',
    'variable_sweeps': 'an ABF1 file of sweeps with different lengths',
    'preprocessed': 'filtered or otherwise preprocessed, and not as it was acquired',
    'not_finite': 'a sample is not a finite number',
    'no_spikes': 'no trigger, or none that is a spike with a whole window in its sweep',
    'saturated': 'most of the events are clipped by the amplifier or the converter',
    'inverted': 'the spikes point upward; --polarity=up turns the recording',
    'bad_csv': 'not a CSV of a spike (160 rows of time in s and current in pA, cut at the threshold) or of a current',
    'bad_name': 'the name does not give a usable cell id or trigger',
    'duplicate_cell': 'the same cell comes from another file too, which is used instead',
    'duplicate_file': 'a link to, or another name of, a file that is used already',
    'contradictory_label': 'the same cell is labelled SER and NSER',
    'unknown_format': 'neither a recording in a known format nor a spike CSV in the folder of a cell',
}


_MOST_LINES = 40
# Libraries quote what they cannot read, which may be megabytes.
_MOST_DETAIL = 400


@dataclasses.dataclass(frozen=True)
class RejectedFile:
    """A file that is not used: a line of ``rejected.jsonl``."""

    path: str
    reason: str
    detail: str


def rejected_lines(files: Iterable[RejectedFile]) -> str:
    """Returns the content of ``rejected.jsonl``: one line for each file, in the given order."""
    return ''.join(f'{json.dumps(dataclasses.asdict(file))}\n' for file in files)


def screen_line(file: RejectedFile) -> str:
    """Returns the line for a rejected file on a screen; its name is from outside, and so is part of the detail."""
    return printable(f'{os.path.basename(file.path)}  rejected, {file.reason}: {file.detail}')


def screen_lines(files: Sequence[RejectedFile], list_file: str) -> list[str]:
    """Returns one line for each rejected file, as many as fit on a screen.

    Parameters
    ----------
    files : the rejected files.
    list_file : the file that lists all of them.
    """
    lines = list(map(screen_line, files))
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f'... {more} more in {list_file}']


class RecordingRejected(Exception):
    """A recording cannot be used.

    Attributes
    ----------
    reason : a key of ``REASONS``.
    detail : one line with the numbers, for the user.
    """

    def __init__(self, reason: str, detail: str):
        if reason not in REASONS:
            raise KeyError(reason)
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = shortened(' '.join(detail.split()), _MOST_DETAIL)

    def __str__(self) -> str:
        return f'{self.reason}: {self.detail}'


def missing_library(path: str, library: str) -> RecordingRejected:
    """Returns the rejection of a file whose format needs a library that is not installed."""
    suffix = os.path.splitext(path)[1]
    return RecordingRejected('missing_library', f'{suffix} files need {library}: pip install {library}')
