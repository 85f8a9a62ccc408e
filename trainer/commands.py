"""The console commands of this package, as ``setup.py`` installs them."""

from __future__ import annotations

import functools

from beam_pipelines.cli.entry import start

download = functools.partial(start, 'sero-download', 'trainer.download')
train = functools.partial(start, 'sero-train', 'trainer.train')
evaluate = functools.partial(start, 'sero-evaluate', 'trainer.evaluate')
classify = functools.partial(start, 'sero-classify', 'trainer.classify.command')
app = functools.partial(start, 'sero-app', 'trainer.app.command')
export_model = functools.partial(start, 'sero-export-model', 'trainer.export_model')
