"""All targets by their names."""

from __future__ import annotations

from tests.fuzz import command_line, datasets, networks, recordings, runs, tables

_MODULES = (recordings, datasets, runs, networks, command_line, tables)

TARGETS = {target.name: target for module in _MODULES for target in module.TARGETS}
