"""The site is built without a broken link, loads nothing from elsewhere, and its pages of reference are complete."""

import html.parser
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

import pytest

from scripts import reference
from tests.support.places import ROOT
from trainer.configs import default

_LOADING = {'img': 'src', 'script': 'src', 'link': 'href', 'iframe': 'src', 'source': 'src', 'video': 'src'}


def _build(root: pathlib.Path, site: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--site-dir', str(site)],
        cwd=root, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('site')
    built = _build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


class _Loaded(html.parser.HTMLParser):
    """Collects what a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _LOADING and given.get('rel') != 'canonical':
            self.addresses.append(given.get(_LOADING[tag]) or '')


def test_no_page_loads_anything_from_elsewhere(site):
    pages = sorted(site.rglob('*.html'))
    assert len(pages) > 25
    for page in pages:
        loaded = _Loaded()
        loaded.feed(page.read_text())
        assert loaded.addresses
        outside = [address for address in loaded.addresses if urllib.parse.urlparse(address).netloc]
        assert outside == [], page


def test_the_page_of_commands_has_each_flag_of_each_command(site):
    text = (site / 'reference' / 'commands.html').read_text()
    for name in reference.COMMANDS:
        assert f'id="{name}"' in text
    assert '--masks_per_spike' in text and '--with_firing' in text and '--workdir' in text


def test_the_page_of_configs_has_each_field_with_its_meaning():
    fields = reference.config_fields((ROOT / 'trainer' / 'configs' / 'default.py').read_text())
    assert sorted(name for name, _, _ in fields) == sorted(default.get_config())
    assert 'validation' in {name: comment for name, _, comment in fields}['train_on']


def test_the_page_of_python_has_the_docstrings(site):
    text = (site / 'reference' / 'python.html').read_text()
    for name in reference.PUBLIC:
        assert f'id="{name}"' in text


def test_broken_links_and_anchors_fail(tmp_path):
    kept = shutil.ignore_patterns('.git', '.venv*', 'site', '*.egg-info', '.*_cache')
    shutil.copytree(ROOT, tmp_path / 'root', ignore=kept)
    with (tmp_path / 'root' / 'docs' / 'gallery.md').open('a') as page:
        page.write('\n[x](no_such_page.md) [y](training.md#no-such-heading) [z](../no_such_file.py)\n')
    built = _build(tmp_path / 'root', tmp_path / 'site')
    assert built.returncode == 1
    for broken in ('no_such_page.md', 'no-such-heading', 'no_such_file.py'):
        assert broken in built.stderr
