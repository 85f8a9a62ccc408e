"""Writes docs/licences.md, the licences of the packages in constraints.txt: python -m scripts.licences

The packages state them in their metadata, so only those that are installed can be asked.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import platform
import re

_ROOT = pathlib.Path(__file__).parents[1]
_HEAD = """# Licences

What the packages in `constraints.txt` say about their licences in their metadata. `make licences` writes this page.
Packages that were not installed where it ran ({system}, Python {python}, extra `dev`) are for other systems or Pythons,
or for the extra `bench`: look at their pages on [PyPI](https://pypi.org).

| package | licence |
| --- | --- |
"""
_LONGEST = 80


def locked_packages(constraints: str) -> list[str]:
    """Returns the names of the packages in the text of a constraints file, in its order, each once."""
    return list(dict.fromkeys(re.findall(r'^([\w.-]+)==', constraints, re.MULTILINE)))


def licence_of(package: str) -> str:
    """Returns what a package says about its licence: an expression, else classifiers, else the first line of a text."""
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return 'not installed'
    kind = 'License :: '
    classified = [
        classifier.removeprefix(kind).removeprefix('OSI Approved :: ')
        for classifier in metadata.get_all('Classifier', [])
        if classifier.startswith(kind) and classifier != 'License :: OSI Approved'
    ]
    text = (metadata.get('License') or '').strip().partition('\n')[0]
    return metadata.get('License-Expression') or '; '.join(classified) or text[:_LONGEST] or 'not stated'


def main() -> None:
    packages = locked_packages((_ROOT / 'constraints.txt').read_text(encoding='utf-8'))
    python = '.'.join(platform.python_version_tuple()[:2])
    rows = [f'| {package} | {licence_of(package)} |\n' for package in packages]
    head = _HEAD.format(system=f'{platform.system()}, {platform.machine()}', python=python)
    (_ROOT / 'docs' / 'licences.md').write_text(head + ''.join(rows), encoding='utf-8')


if __name__ == '__main__':
    main()
