"""Copies of a document, each with one field misspelt."""

import copy
from collections.abc import Collection, Iterator
from typing import Any


def misspelt_fields(document: Any, free: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yields the path of each field and a copy of the document in which that field has one letter too many.

    Parameters
    ----------
    document : of dicts and lists.
    free : fields that hold names of the user's choice, such as ``labels``; these names are left alone.
    """
    for path in _paths(document, free):
        changed = copy.deepcopy(document)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[f'{path[-1]}x'] = holder.pop(path[-1])
        yield '.'.join(map(str, path)), changed


def _paths(value: Any, free: Collection[str], path: tuple = ()) -> Iterator[tuple]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _paths(item, free, (*path, number))
    elif isinstance(value, dict):
        is_free = bool(path) and path[-1] in free
        for key, item in value.items():
            if not is_free:
                yield (*path, key)
            yield from _paths(item, free, (*path, key))
