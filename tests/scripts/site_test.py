"""The site is built without a broken link, loads nothing from elsewhere, and its pages of reference are complete."""

import functools
import html.parser
import http.server
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

from scripts import reference
from tests.support.browser import needs_chromium, quiet_page, started_chromium
from tests.support.places import ROOT
from tests.support.quiet_server import QuietServer
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


class _SiteFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope='module')
def served(site) -> Iterator[str]:
    with QuietServer(('127.0.0.1', 0), functools.partial(_SiteFiles, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.fixture(scope='module')
def browser() -> Iterator:
    with started_chromium() as browser:
        yield browser


@needs_chromium
@pytest.mark.parametrize('place', ['served', 'from the disk'])
def test_a_word_is_found_from_the_start_page(browser, site, served, place):
    address = served if place == 'served' else site.as_uri()
    with quiet_page(browser, f'{address}/index.html') as page:
        page.get_by_role('textbox', name='Search').press_sequentially('loose patch')
        page.locator('.md-search-result__link', has_text='Glossary').first.click()
        page.get_by_role('heading', name='Glossary').wait_for()
        assert page.get_by_role('row', name='loose patch').is_visible()


@needs_chromium
@pytest.mark.parametrize(('scheme', 'width'), [('light', 1280), ('dark', 400)])
def test_pages_fit_the_window_in_both_schemes(browser, served, scheme, width):
    with quiet_page(browser, f'{served}/index.html') as page:
        page.set_viewport_size({'width': width, 'height': 900})
        page.emulate_media(color_scheme=scheme)
        for name in ('index', 'reference/configs', 'architecture', 'app'):
            page.goto(f'{served}/{name}.html')
            # The closed search is wider for a moment.
            page.wait_for_function('width => document.documentElement.scrollWidth <= width', arg=width)
        page.goto(f'{served}/reference/commands.html#sero-app')
        flag = page.get_by_text('--allow_remote', exact=True).first
        assert flag.evaluate('code => code.getClientRects().length') == 1
        expected = {'light': 'default', 'dark': 'slate'}[scheme]
        assert page.locator('body').get_attribute('data-md-color-scheme') == expected


def test_broken_links_and_anchors_fail(tmp_path):
    kept = shutil.ignore_patterns('.git', '.venv*', 'site', '*.egg-info', '.*_cache')
    shutil.copytree(ROOT, tmp_path / 'root', ignore=kept)
    with (tmp_path / 'root' / 'docs' / 'gallery.md').open('a') as page:
        page.write('\n[x](no_such_page.md) [y](training.md#no-such-heading) [z](../no_such_file.py)\n')
    built = _build(tmp_path / 'root', tmp_path / 'site')
    assert built.returncode == 1
    for broken in ('no_such_page.md', 'no-such-heading', 'no_such_file.py'):
        assert broken in built.stderr
