"""What a user does on the page, in a browser that Playwright drives."""

import pathlib

from playwright.sync_api import expect

SECONDS = 60_000  # in ms; classifying takes less than one, on a machine that does nothing else


def rows(page, kinds: str = ''):
    return page.locator(f'.verdicts tbody tr{kinds}')


def finished(page, count: int):
    """Waits until so many rows are there and nothing waits any more."""
    expect(rows(page, ':not([data-kind=waiting], [data-kind=reading])')).to_have_count(count, timeout=SECONDS)
    expect(page.locator('#working')).to_be_hidden()


def set_rate(page, rate_hz: str) -> None:
    """Says in the form for the next recordings what their sampling rate is."""
    if not page.locator('#next-sampling_rate_hz').is_visible():
        page.get_by_text('How recordings are read').click()
    page.get_by_label('Sampling rate (Hz)').first.fill(rate_hz)


def drop(page, *paths: pathlib.Path) -> None:
    """Drags files and folders onto the page, as from a file manager."""
    session = page.context.new_cdp_session(page)
    data = {'items': [], 'files': [str(path) for path in paths], 'dragOperationsMask': 1}
    for kind in ('dragEnter', 'dragOver', 'drop'):
        session.send('Input.dispatchDragEvent', {'type': kind, 'x': 400, 'y': 300, 'data': data})
        expect(page.get_by_text('Drop to classify')).to_be_visible(visible=kind == 'dragOver')


def choose(page, *paths: pathlib.Path, rate_hz: str = '40000', count: int | None = None) -> None:
    """Chooses files in the browser's dialog, and waits until they are classified."""
    set_rate(page, rate_hz)
    page.set_input_files('#choose', [str(path) for path in paths])
    finished(page, len(paths) if count is None else count)


def open_cell(page, name: str):
    rows(page).get_by_role('link', name=name, exact=True).click()
    expect(page.locator('#opened h2 bdi')).to_have_text(name)
    return page.locator('#opened')


def expect_names(page, expected: list[str]) -> None:
    """Waits until the rows that are shown have these names, in this order."""
    expect(page.locator('.verdicts tbody tr:visible th')).to_have_text(expected)


def names(page) -> list[str]:
    return page.locator('.verdicts tbody tr:visible th').all_inner_texts()
