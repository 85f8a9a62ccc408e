"""Changes what a JSON file says, so that it stays JSON and the checks behind the parser are reached."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.fuzz.mutation import mutate

# ``a_pipe`` would be waited for, and ``../outside`` and the devices must not be opened; see ``guard``.
_NAMES = (
    *('', 'x', '.', '..', 'a_pipe', '../outside', '../../outside', '/dev/zero', 'gs://b/x', 'file:///dev/zero'),
    *('\0', 'a\nb', '\x1b[2J', '\ud800', 'k' * 300, 'k1', 'k-1', 'k01', 'nan', '1', 'none', 'metadata.json', 'ü' * 200),
)
_NUMBERS = (
    *(0, 1, -1, 2, 3, 53, 54, 100, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400),
    *(0.0, -0.0, 0.5, 1.5, -0.1, 1e-320, 1e308, -1e308, float('nan'), float('inf'), -float('inf')),
)
_OTHERS: tuple = (None, True, False, [], {}, [[]], [None], {'': None}, [0, 1], [[0, 1], [1, 0]])


def mutate_json(content: bytes, chance: random.Random) -> bytes:
    """Returns a JSON file's content with some of its values, names or places changed; one in eight as bytes."""
    if chance.random() < 1 / 8:
        return mutate(content, chance)
    document = json.loads(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        document = _mutate_once(document, chance)
    text = json.dumps(document)
    if chance.random() < 1 / 50:
        return _as_nested(text, chance)
    return text.encode(chance.choice(('utf-8',) * 20 + ('utf-8-sig', 'utf-16', 'utf-32')), 'surrogatepass')


def _mutate_once(document: Any, chance: random.Random) -> Any:
    places = list(_places(document))
    if not places or chance.random() < 1 / 50:
        return _odd(document, chance)
    holder, key = chance.choice(places)
    kind = chance.randrange(8)
    if kind < 4:
        holder[key] = _odd(holder[key], chance)
    elif kind == 4:
        del holder[key]
    elif kind == 5:
        other, other_key = chance.choice(places)
        holder[key] = copy.deepcopy(other[other_key])
    elif isinstance(holder, dict):
        name = chance.choice(_NAMES)
        holder[name] = copy.deepcopy(holder[key]) if kind == 6 else holder.pop(key)
    else:
        holder[key:key] = copy.deepcopy(holder[key : key + 1]) * chance.choice((1, 2, 50))
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields (what holds it, key) of each value, at any depth."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _odd(value: Any, chance: random.Random) -> Any:
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice(_NAMES)
    if kind == 1:
        return chance.choice(_NUMBERS)
    if kind == 2:
        return copy.deepcopy(chance.choice(_OTHERS))
    if kind == 3 and isinstance(value, (int, float)) and not isinstance(value, bool):
        return chance.choice((value + 1, value - 1, -value, value * 1_000_000, value / 2 if value < 1e300 else value))
    if kind == 4:
        return str(value)[:1000]
    return [value] if chance.random() < 1 / 2 else {'value': value}


def _as_nested(text: str, chance: random.Random) -> bytes:
    """Returns the text within or followed by more brackets than a parser may follow."""
    depth = chance.choice((10, 900, 100_000))
    return (chance.choice(('[', '{"a":')) * depth + text).encode(errors='surrogatepass')
