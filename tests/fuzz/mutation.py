"""Changes bytes at random, as damage, other programs and attackers do."""

from __future__ import annotations

import random
import struct

_INTEGERS = (0, 1, 2, 3, 5, 16, 17, 255, 512, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_FLOATS = (0.0, 1e-30, 1e30, -1.0, float('nan'), float('inf'), 1e-3, 25.0, 100.0)
_TOKENS = (b'\x1b[2J', b'=1+1', b'\r\n', b'nan', b'inf', b'1e999', b'-', b',', b'\xff\xfe', b'pA', b'mV', bytes(8))


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Returns the content with some changes, mostly one; they are more frequent at its start."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        _mutate_once(changed, chance)
    return bytes(changed)


def _mutate_once(content: bytearray, chance: random.Random) -> None:
    if not content:
        return
    # Headers are at the start, and smaller than what follows them.
    reach = min(len(content), chance.choice((64, 512, 2048, 8192, len(content))))
    at = chance.randrange(reach)
    kind = chance.randrange(8)
    if kind == 0:
        content[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        content[at] = chance.randrange(256)
    elif kind == 2:
        form = chance.choice('hHiIqQ')
        value = chance.choice(_INTEGERS) * chance.choice((1, 1, -1))
        _put(content, at, (value % (1 << 8 * struct.calcsize(form))).to_bytes(struct.calcsize(form), 'little'))
    elif kind == 3:
        _put(content, at, struct.pack(chance.choice('<>') + chance.choice('fd'), chance.choice(_FLOATS)))
    elif kind == 4:
        del content[at : at + chance.choice((1, 2, 4, 8, 512, len(content)))]
    elif kind == 5:
        content[at:at] = content[at : at + chance.choice((1, 2, 8, 64))]
    elif kind == 6:
        content[at:at] = chance.choice(_TOKENS)
    else:
        _put(content, at, chance.choice(_TOKENS))


def _put(content: bytearray, at: int, patch: bytes) -> None:
    content[at : at + len(patch)] = patch
