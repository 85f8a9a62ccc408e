"""Both reports on a telephone, a tablet and a desk, light and dark: what is measured there in a real browser."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.support.browser import needs_chromium, started_chromium
from tests.support.page_probes import CONTRAST, NAMELESS, OVERFLOWING, SMALL_LETTERS
from tests.trainer.reports import classification_report_test as classification
from tests.trainer.reports import evaluation_report_test as evaluation
from trainer.reports import classification_report, evaluation_report

pytest.importorskip('playwright.sync_api')

pytestmark = [pytest.mark.slow, needs_chromium]

training_range = classification.training_range


@pytest.fixture(scope='module')
def reports(tmp_path_factory, training_range) -> dict[str, pathlib.Path]:
    folder = tmp_path_factory.mktemp('reports')
    cells = [classification.make_cell(number) for number in range(2)]
    named = classification.with_result(cells[0], cell='a_recording_with_a_very_long_name_' + 'x' * 60)
    warned = classification.with_result(cells[1], warnings=(classification.WARNING,))
    models = [evaluation.make_model(f'synthetic_{name}', skill=2) for name in ('small', 'of_a_long_name_' * 3)]
    return {
        'classification': classification_report.write_report(
            folder / 'classification', [named, warned], classification.REJECTED, classification.INFO, training_range
        ),
        'evaluation': evaluation_report.write_report(folder / 'evaluation', *models),
    }


@pytest.fixture(scope='module')
def browser() -> Iterator:
    with started_chromium() as browser:
        yield browser


@pytest.fixture(params=['classification', 'evaluation'])
def page(request, reports, browser) -> Iterator:
    page = browser.new_page(bypass_csp=True)
    page.goto(reports[request.param].as_uri())
    # What is far below the screen is laid out too.
    page.add_style_tag(content='.cell { content-visibility: visible !important; }')
    yield page
    page.close()


@pytest.mark.parametrize(
    ('scheme', 'width', 'least_px'),
    [('light', 1280, 12), ('dark', 1280, 12), ('light', 820, 9.5), ('dark', 420, 10), ('light', 400, 9.5)],
)
def test_everything_can_be_read(page, scheme, width, least_px):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({'width': width, 'height': 900})
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate('document.documentElement.scrollWidth') == width
    assert page.evaluate(SMALL_LETTERS, least_px - 0.01) == []
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []


def test_keys_scroll_a_table_that_is_wider_than_the_screen(page):
    page.set_viewport_size({'width': 420, 'height': 900})
    regions = page.get_by_role('region').filter(has=page.locator('table'))
    assert regions.count() == page.locator('table:not(.traits)').count() > 1
    # Not every browser lets keys into what scrolls but has no tabindex.
    assert set(regions.evaluate_all('all => all.map(region => region.tabIndex)')) == {0}
    widths = regions.evaluate_all('all => all.map(region => region.scrollWidth - region.clientWidth)')
    widest = regions.nth(widths.index(max(widths)))
    if max(widths):
        widest.focus()
        page.keyboard.press('ArrowRight')
        page.wait_for_function('document.activeElement.scrollLeft > 0')


def test_paper_has_whole_tables_and_dark_ink(page):
    page.emulate_media(media='print', color_scheme='dark')
    page.set_viewport_size({'width': 690, 'height': 976})  # A4 without its margins.
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'
    cut = """[...document.querySelectorAll('figure, tr, .scroll')].filter(element =>
      element.matches('.scroll') ? getComputedStyle(element).maxHeight !== 'none'
        : getComputedStyle(element).breakInside !== 'avoid').length"""
    assert page.evaluate(cut) == 0
