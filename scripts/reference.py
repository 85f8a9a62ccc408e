"""The pages of reference on the site: commands from their flags, configs from their fields, Python from docstrings."""

from __future__ import annotations

import importlib.metadata
import io
import pathlib
import re
import subprocess
import sys
import tokenize
import xml.etree.ElementTree

_ROOT = pathlib.Path(__file__).parents[1]
# The module of each console command.
COMMANDS = {
    entry.name: entry.load().args[1]  # see trainer/commands.py
    for entry in importlib.metadata.entry_points(group='console_scripts')
    if entry.name.startswith('sero-')
}
# What is meant to be used from Python.
PUBLIC = (
    'trainer.classify.load',
    'trainer.classify.classifier.Classifier',
    'trainer.evaluation.results.Classification',
    'trainer.evaluation.results.ClassifiedSpikes',
    'trainer.models.architectures.build_member',
    'tfds_sero.sero_spikes.sero_spikes_dataset_builder.Builder',
    'beam_pipelines.planning.options.BuildOptions',
    'beam_pipelines.launch.run_build.run_build',
    'beam_pipelines.datasets.record_layout.view_records',
    'beam_pipelines.datasets.record_layout.decode_varints',
    'beam_pipelines.synthesis.synthesizer.Synthesizer',
    'beam_pipelines.recordings.rejection.RecordingRejected',
)


def pages() -> dict[str, str]:
    """Returns the pages by file name, as Markdown."""
    return {'commands.md': _commands(), 'configs.md': _configs(), 'python.md': _python()}


def _commands() -> str:
    parts = ['# Commands\n\nMade from the flags of each command when the site is built.\n']
    for name, module in COMMANDS.items():
        # absl ends with 1 after --helpxml.
        shown = subprocess.run(
            [sys.executable, '-m', module, '--helpxml'], capture_output=True, text=True, cwd=_ROOT, timeout=120
        )
        tree = xml.etree.ElementTree.fromstring(shown.stdout)
        parts.append(f'## {name}\n\n{_escaped((tree.findtext("usage") or "").strip())}\n')
        own = [flag for flag in tree.iter('flag') if flag.findtext('key') == 'yes']
        if own:
            parts.append('| flag | default | meaning |\n| --- | --- | --- |\n' + ''.join(map(_row, own)))
    return '\n'.join(parts)


def _escaped(text: str) -> str:
    return text.replace('<', '&lt;')


def _row(flag: xml.etree.ElementTree.Element) -> str:
    default = flag.findtext('default') or ''
    meaning = _escaped(' '.join((flag.findtext('meaning') or '').split()).replace('|', '\\|'))
    shown = f'`{default}`' if default else ''
    return f'| `--{flag.findtext("name")}` | {shown} | {meaning} |\n'


def _configs() -> str:
    fields = config_fields((_ROOT / 'trainer/configs/default.py').read_text(encoding='utf-8'))
    rows = ''.join(f'| `{name}` | `{value}` | {comment} |\n' for name, value, comment in fields)
    parts = [
        '# Configs\n\nMade from `trainer/configs` when the site is built. Each field is a flag, as in'
        ' `--config.batch_size=256`.\n\n## Fields\n\n| field | in default.py | meaning |\n| --- | --- | --- |\n' + rows
    ]
    for path in sorted((_ROOT / 'trainer/configs').glob('[!_]*.py')):
        parts.append(f'## {path.name}\n\n```python\n{path.read_text(encoding="utf-8").strip()}\n```\n')
    return '\n'.join(parts)


def config_fields(source: str) -> list[tuple[str, str, str]]:
    """Returns name, value and the comment above each field in the text of a config."""
    fields, comment = [], []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comment.append(token.string.lstrip('# '))
        elif match := re.match(r" {12}'(\w+)': (.*),$", token.line.rstrip()):
            if token.type == tokenize.STRING and token.start[1] == 12:
                fields.append((match[1], match[2], ' '.join(comment)))
                comment = []
    return fields


def _python() -> str:
    return '# Python\n\nWhat is meant to be used from Python.\n\n' + '\n'.join(f'::: {name}\n' for name in PUBLIC)
