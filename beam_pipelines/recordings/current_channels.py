"""Which channels of a file hold a current, and how their unit is converted to pA."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from beam_pipelines.recordings.rejection import RecordingRejected

# Both characters for micro are in use.
_MICRO = ('u', '\N{MICRO SIGN}', '\N{GREEK SMALL LETTER MU}')
_EXPONENTS = {'k': 3, '': 0, 'm': -3, **dict.fromkeys(_MICRO, -6), 'n': -9, 'p': -12, 'f': -15, 'a': -18}
_NAMES_OF_PREFIXES = {'': 0, 'milli': -3, 'micro': -6, 'nano': -9, 'pico': -12, 'femto': -15}
_NAMES_OF_AMPERE = ('amp', 'amps', 'ampere', 'amperes')
_PA_PER_UNIT = {f'{prefix}A': 10.0 ** (exponent + 12) for prefix, exponent in _EXPONENTS.items()} | {
    written: 10.0 ** (exponent + 12)
    for prefix, exponent in _NAMES_OF_PREFIXES.items()
    for name in _NAMES_OF_AMPERE
    for written in (f'{prefix}{name}', f'{prefix}{name}'.capitalize())
}
_VOLTS = {
    f'{prefix}{name}'
    for prefix in (*_EXPONENTS, *_NAMES_OF_PREFIXES)
    for name in ('V', 'volt', 'Volt', 'volts', 'Volts')
}


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel, or a series, of a file."""

    name: str
    unit: str


def channel_of_header(name: str, unit: str) -> Channel:
    """Returns a channel by fields of a header, which have a fixed length: padded with spaces, or ended by a NUL."""
    return Channel(*(field.split('\0')[0].strip() for field in (name, unit)))


def all_currents(channels: Sequence[Channel], wanted: str | None) -> dict[int, float]:
    """Returns all channels that hold a current, or the wanted one if it does; see ``choose_currents``."""
    numbers = _wanted_numbers(channels, wanted)
    units = {number: channels[number].unit.strip() for number in numbers}
    currents = {number: _PA_PER_UNIT[unit] for number, unit in units.items() if unit in _PA_PER_UNIT}
    if currents:
        return currents
    found = ', '.join(unit or 'no unit' for unit in units.values())
    if units and all(unit in _VOLTS for unit in units.values()):
        raise RecordingRejected('voltage', f'the channel is a voltage (in {found}); a current is needed')
    raise RecordingRejected('wrong_unit', f'expected a channel in pA, the {len(channels)} channel(s) are in {found}')


def choose_currents(channels: Sequence[Channel], wanted: str | None) -> dict[int, float]:
    """Chooses the channels of one recording that hold a current.

    Parameters
    ----------
    channels : all channels of a file.
    wanted : name or number (from 0) of the one to choose; None: all in pA, or if there is none, in amperes with any SI
        prefix.

    Returns
    -------
    {channel number: pA per unit}, at least one.

    Raises
    ------
    RecordingRejected
        If no channel is as wanted, or none holds a current.
    """
    currents = all_currents(channels, wanted)
    in_pa = {number: factor for number, factor in currents.items() if factor == 1}
    # Where one channel is in pA, those in other units are seldom the neuron's current.
    return in_pa or currents


def _wanted_numbers(channels: Sequence[Channel], wanted: str | None) -> list[int]:
    numbers = list(range(len(channels)))
    if wanted is None:
        return numbers
    # A name is more specific than a number.
    found = [number for number in numbers if channels[number].name == wanted] or [
        number for number in numbers if str(number) == wanted
    ]
    if not found:
        names = ', '.join(channel.name or str(number) for number, channel in enumerate(channels))
        raise RecordingRejected('wrong_channel', f'no channel {wanted}; there are {names}')
    return found


def several_currents_detail(names: Sequence[str]) -> str:
    """Describes a file with several currents, for its rejection."""
    return f'{len(names)} channels hold a current: {", ".join(names)}; name one with --channel'
