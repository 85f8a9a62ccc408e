"""Says which stage of `make demo` begins, and how long the rest may take.

    python -m scripts.demo_stage 5

begins the fifth stage; the first one notes the time in demo/began, and ``end``, after the last, says what to do next.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Sequence

# What happens, and the seconds that it took on one machine: only their proportions count.
STAGES = (
    ('simulated recordings', 2),
    ('datasets', 5),
    ('every byte of the datasets checked', 2),
    ('training on recorded spikes', 190),
    ('training on synthetic spikes', 190),
    ('evaluation', 20),
)
# Before the first training, nothing is known about how fast this machine trains.
_FIRST_ESTIMATE = 5
_BEGAN = pathlib.Path('demo', 'began')


def opening(number: int, seconds: float) -> str:
    """Returns what to show when a stage begins, so many seconds after the demo began."""
    line = f'[{number} of {len(STAGES)}] {STAGES[number - 1][0]}'
    if number == 1:
        return f'{line} (the demo takes 4 to 14 minutes)'
    if number < _FIRST_ESTIMATE:
        return line
    made = sum(share for _, share in STAGES[: number - 1])
    left = sum(share for _, share in STAGES[number - 1 :])
    return f'{line}: {_in_words(seconds)} so far, about {_in_words(seconds * left / made)} to go'


def ending(seconds: float) -> str:
    """Returns what to show after the last stage."""
    return f"""The demo took {_in_words(seconds)}. Now
    open demo/synthetic/evaluation/report.html in a browser
    .venv/bin/sero-app --model demo/synthetic      and drop recordings of demo/recordings/non_homogeneous on its page"""


def _in_words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes} min {rest} s' if minutes else f'{rest} s'


def main(arguments: Sequence[str]) -> None:
    (stage,) = arguments
    if stage == '1':
        _BEGAN.parent.mkdir(exist_ok=True)
        _BEGAN.write_text(f'{time.time()}\n')
    seconds = time.time() - float(_BEGAN.read_text())
    print(f'\n{ending(seconds) if stage == "end" else opening(int(stage), seconds)}', flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
