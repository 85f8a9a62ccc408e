"""A page whose program has ended, in a real browser."""

import http.server
import threading

import pytest
from playwright.sync_api import expect

from tests.support.browser import needs_chromium, quiet_page
from tests.support.ports import free_ports
from tests.trainer.app.page_actions import SECONDS, choose, open_cell, rows

pytestmark = [pytest.mark.slow, needs_chromium]


def test_what_is_asked_of_a_program_that_has_ended_or_was_started_anew_is_answered(start_app, browser, recordings):
    (port,) = free_ports(1)
    refusals = ('ERR_CONNECTION_REFUSED', 'ERR_CONNECTION_RESET', 'status of 403')
    with start_app('--port', port) as first, quiet_page(browser, first.url, refusals) as page:
        page.set_default_timeout(SECONDS)
        choose(page, recordings / 'ser.npy', recordings / 'nser.npy')
        opened = open_cell(page, 'ser')
        assert first.stop() == 0
        expect(page.locator('#said')).to_contain_text('The program does not answer; it has ended, perhaps.')
        opened.get_by_role('button', name='Zoom in').click()
        expect(opened.locator('.zoom span')).to_have_text('The program does not answer.')
        for name in ('Classify again', 'Remove from the page'):
            opened.get_by_role('button', name=name).click()
            expect(opened.locator('.problem')).to_have_text('The program does not answer.')
            opened.locator('.problem').evaluate('problem => { problem.textContent = ""; }')
        with start_app('--port', port):
            expect(page.locator('#said')).to_contain_text(
                'another one answers here: open the address that it has printed'
            )
            page.set_input_files('#choose', [str(recordings / 'upward.npy')])
            expect(page.locator('#refused')).to_contain_text('use the address that sero-app has printed')
            rows(page).get_by_role('link', name='nser', exact=True).click()
            expect(opened).to_contain_text('use the address that sero-app has printed')


class _OtherProgram(http.server.BaseHTTPRequestHandler):
    """A program of somebody else, which answers each request with JSON of its own."""

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.end_headers()
        self.wfile.write(b'{"detail": "Not Found"}')

    def do_POST(self):
        self.send_error(405)

    def log_message(self, *arguments):
        pass


def test_a_page_whose_port_another_program_has_says_so_until_its_own_is_back(start_app, browser):
    (port,) = free_ports(1)
    with start_app('--port', port) as app, quiet_page(browser, app.url, ('ERR_CONNECTION', 'status of 40')) as page:
        page.set_default_timeout(SECONDS)
        assert app.stop() == 0
        server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), _OtherProgram)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        expect(page.locator('#said')).to_contain_text('another one answers here')
        page.locator('summary').get_by_text('How recordings are read').click()
        page.get_by_role('button', name='Classify all again so').click()
        expect(page.locator('#next .problem')).to_contain_text('the program failed; its terminal says why.')
        server.shutdown()
        server.server_close()
        expect(page.locator('#said')).to_contain_text('The program does not answer')
