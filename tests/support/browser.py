"""The system's Chromium, for tests of pages."""

import contextlib
import shutil
import urllib.parse
from collections.abc import Iterator, Sequence

import pytest

CHROMIUM = shutil.which('chromium')
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium')

# An answer that says what is wrong in a form, and the end of the network, which tests bring about.
_EXPECTED = ('status of 422', 'ERR_INTERNET_DISCONNECTED')


@contextlib.contextmanager
def started_chromium() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@contextlib.contextmanager
def quiet_page(browser, address: str, expected: Sequence[str] = _EXPECTED) -> Iterator:
    """Opens an address; it is an error if the browser complains, or asks for anything from another place.

    Complaints with one of the ``expected`` texts are no errors.
    """
    context = browser.new_context(viewport={'width': 1280, 'height': 900}, accept_downloads=True)
    page = context.new_page()
    complaints, asked = [], set()
    page.on(
        'console', lambda message: any(text in message.text for text in expected) or complaints.append(message.text)
    )
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.on('request', lambda request: asked.add(urllib.parse.urlsplit(request.url)[:2]))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []
    assert asked <= {urllib.parse.urlsplit(address)[:2], ('data', ''), ('blob', '')}
