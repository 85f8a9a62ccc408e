"""MkDocs hooks: the pages of reference, made from the code, and the files beside docs/ that pages link to."""

from __future__ import annotations

import pathlib
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scripts import reference

_ROOT = pathlib.Path(__file__).parents[1]
# Where the site keeps the files that are not in docs/, under their paths in the repository.
_REPOSITORY = 'repository'
_LINK_OUT = re.compile(r'\]\(\.\./([^)#\s]+)')
_LINK_IN = re.compile(r'\]\((?!https?:|#|\.\./)([^)#\s]+)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of reference and the files of the repository that pages link to."""
    for name, text in reference.pages().items():
        files.append(File.generated(config, f'reference/{name}', content=text))
    for path in sorted(_linked_files()):
        # A file of code keeps its name and is not rendered.
        files.append(File.generated(config, f'{_REPOSITORY}/{path}', abs_src_path=str(_ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between docs/ and the rest of the repository into links of the site."""
    source = page.file.src_uri
    if source.startswith(f'{_REPOSITORY}/'):
        return _LINK_IN.sub(_site_link, markdown)
    return _LINK_OUT.sub(rf']({_REPOSITORY}/\1', markdown)


def _site_link(match: re.Match[str]) -> str:
    target = match[1]
    return f'](../{target.removeprefix("docs/")}' if target.startswith('docs/') else match[0]


def _linked_files() -> set[str]:
    """Returns the files outside docs/ that a page links to, and those that these link to."""
    found: set[str] = set()
    for page in (_ROOT / 'docs').glob('*.md'):
        # A file that does not exist stays a broken link, which MkDocs reports.
        found.update(path for path in _LINK_OUT.findall(page.read_text(encoding='utf-8')) if (_ROOT / path).is_file())
    waiting = [path for path in found if path.endswith('.md')]
    while waiting:
        for target in _LINK_IN.findall((_ROOT / waiting.pop()).read_text(encoding='utf-8')):
            if not target.startswith('docs/') and target not in found and (_ROOT / target).is_file():
                found.add(target)
                waiting += [target] if target.endswith('.md') else []
    return found
