"""The console commands of this package, as ``setup.py`` installs them."""

from __future__ import annotations

import functools

from beam_pipelines.cli.entry import start

simulate = functools.partial(start, 'sero-simulate', 'beam_pipelines.simulate')
build = functools.partial(start, 'sero-build', 'beam_pipelines.build')
verify = functools.partial(start, 'sero-verify', 'beam_pipelines.verify')
