"""The colours of classes and verdicts, the same in every figure and page."""

from __future__ import annotations

# Blue and ochre can be told apart with every common colour blindness, and in grey print.
CLASS_COLOURS = ('#0b6fa4', '#c8780a')
UNDECIDED_COLOUR = '#9aa1ab'
WRONG_COLOUR = '#a3123a'
INK = '#1f2933'
