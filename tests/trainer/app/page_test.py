"""The page in a real browser: what a user does with it, and that it complains of nothing and asks nobody else."""

import csv
import io
import json
import pathlib
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.browser import needs_chromium, quiet_page
from tests.support.foreign_recordings import write_nwb
from tests.support.page_probes import CONTRAST, NAMELESS, SMALL_LETTERS
from tests.support.simulated_current import simulated_current
from tests.trainer.app.conftest import StartedApp
from tests.trainer.app.page_actions import (
    SECONDS,
    choose,
    drop,
    expect_names,
    finished,
    names,
    open_cell,
    rows,
    set_rate,
)

pytestmark = [pytest.mark.slow, needs_chromium]


def state(app: StartedApp) -> dict:
    with urllib.request.urlopen(f'{app.url}state?since=-1', timeout=30) as answer:
        return json.load(answer)


@pytest.fixture
def page(app, browser) -> Iterator:
    """The page without recordings; fails the test if the browser complains or asks another machine."""
    for file in state(app)['files']:
        urllib.request.urlopen(
            urllib.request.Request(f'{app.url}files/{file["number"]}', method='DELETE'), timeout=30
        ).close()
    with quiet_page(browser, app.url) as page:
        page.set_default_timeout(SECONDS)
        yield page


def test_a_dropped_recording_shows_its_verdict_and_the_evidence(page, recordings):
    set_rate(page, '40000')
    drop(page, recordings / 'nser.npy')
    finished(page, 1)
    assert page.locator('[data-count=NSER]').inner_text() == '1'
    opened = open_cell(page, 'nser')
    assert opened.locator('h2').evaluate('head => head === document.activeElement')
    expect(opened.locator('.chip')).to_have_text('NSER')
    expect(opened.locator('h2 .probability')).to_contain_text(' to ')
    assert opened.locator('figure > svg, .view > svg').count() == 4
    for part in ('.trigger', '.mean', '.spike', '.bar-ser', '.bar-nser', '.dot'):
        assert opened.locator(part).count() > 0, part
    assert opened.locator('.warning').count() == int(rows(page).locator('td').last.get_attribute('data-sort'))


def test_the_trace_is_zoomed_and_moved_by_keys_and_by_dragging(page, recordings):
    choose(page, recordings / 'nser.npy')
    opened = open_cell(page, 'nser')
    view, where = opened.locator('.view'), opened.locator('.zoom span')
    view.focus()
    page.keyboard.press('+')
    expect(where).to_have_text('1.0 to 3.0 s')
    page.keyboard.press('ArrowRight')
    expect(where).to_have_text('2.0 to 4.0 s')
    opened.get_by_role('button', name='Earlier').click()
    expect(where).to_have_text('1.0 to 3.0 s')
    for _ in range(9):
        opened.get_by_role('button', name='Zoom in').click()
    expect(where).to_have_text('1.9975 to 2.0025 s')
    expect(opened.locator('.trace-line')).to_have_count(1)  # Each sample is there: it is no envelope any more.
    view.focus()
    page.keyboard.press('0')
    expect(where).to_have_text('whole recording')
    expect(opened.locator('.trace-line')).to_have_count(0)  # The whole recording is drawn.
    box = view.locator('.strip').bounding_box()
    at = [box['x'] + box['width'] * share for share in (0.25, 0.75)]
    page.mouse.move(at[0], box['y'] + 50)
    page.mouse.down()
    page.mouse.move(at[1], box['y'] + 60, steps=3)
    page.mouse.up()
    expect(where).to_have_text('1.0 to 3.0 s')
    page.mouse.move(at[1], box['y'] + 50)
    page.keyboard.down('Shift')
    page.mouse.down()
    page.mouse.move(at[0], box['y'] + 60, steps=3)
    page.mouse.up()
    page.keyboard.up('Shift')
    expect(where).to_have_text('2.0 to 4.0 s')


def test_the_table_sorts_and_filters(page, recordings):
    choose(page, *(recordings / f'{name}.npy' for name in ('ser', 'nser', 'upward')))
    page.get_by_role('button', name='Probability of SER').press('Enter')
    expect(page.locator('.verdicts th[aria-sort]')).to_have_count(1)
    p_ser = [float(text.split()[0]) for text in rows(page).locator('.probability').all_inner_texts()]
    assert p_ser == sorted(p_ser) and len(p_ser) == 3
    page.get_by_role('button', name='Cell').click()
    expect_names(page, ['nser', 'ser', 'upward'])
    page.get_by_role('button', name='Cell').click()
    expect_names(page, ['upward', 'ser', 'nser'])
    # The order holds for what comes later.
    choose(page, recordings / 'nano.npy', count=4)
    expect_names(page, ['upward', 'ser', 'nser', 'nano.npy'])
    page.get_by_label('Show').select_option('rejected')
    expect_names(page, ['nano.npy'])
    expect(page.locator('#shown')).to_have_text('1 of 4 rows')
    page.get_by_label('Show').select_option('all')
    page.get_by_label('Name contains').fill('SER')
    expect_names(page, ['ser', 'nser'])


def test_a_rejected_recording_says_what_to_change_and_is_classified_again(page, recordings):
    choose(page, recordings / 'nano.npy')
    opened = open_cell(page, 'nano.npy')
    expect(opened.locator('.warning')).to_contain_text('--scale')
    assert opened.locator('.marked input').get_attribute('name') == 'scale'
    opened.get_by_label('Scale').fill('-1')
    opened.get_by_role('button', name='Classify again').click()
    expect(opened.get_by_role('alert')).to_have_text(
        'The scale is above zero, such as 1000; polarity turns a recording.'
    )
    assert opened.get_by_label('Scale').evaluate('field => field === document.activeElement')
    opened.get_by_label('Scale').fill('1000')
    opened.get_by_role('button', name='Classify again').click()
    expect(opened.locator('h2 .chip')).to_have_text('NSER')
    finished(page, 1)
    assert opened.get_by_label('Scale').input_value() == '1000'


def test_another_polarity_and_another_threshold_change_the_outcome(page, recordings):
    choose(page, recordings / 'upward.npy')
    opened = open_cell(page, 'upward')
    spikes = int(rows(page).locator('td').nth(3).inner_text())
    opened.get_by_role('textbox', name='Threshold').fill('-1000')
    opened.get_by_role('button', name='Classify again').click()
    expect(opened.locator('h2 .chip')).to_have_text('rejected')
    assert opened.locator('.marked input').get_attribute('name') == 'trigger_pa'
    opened.get_by_role('textbox', name='Threshold').fill('')
    opened.get_by_label('Polarity').select_option('up')
    opened.get_by_role('button', name='Classify again').click()
    finished(page, 1)
    assert int(rows(page).locator('td').nth(3).inner_text()) == spikes


def test_of_two_currents_in_a_file_one_is_chosen(page, tmp_path):
    current_pa = simulated_current(4.0, 'NSER', udi_ms=0.4)[0]
    write_nwb(tmp_path / 'two.nwb', {'left': current_pa, 'right': simulated_current(4.0, 'SER', udi_ms=1.4)[0]})
    choose(page, tmp_path / 'two.nwb', count=2)
    assert sorted(row.split()[1] for row in rows(page).all_inner_texts()) == ['NSER', 'SER']
    opened = open_cell(page, names(page)[0])
    opened.get_by_label('Channel').fill('right')
    opened.get_by_role('button', name='Classify again').click()
    finished(page, 1)
    assert rows(page, '[data-kind=SER]').count() == 1


def test_all_recordings_are_classified_again_in_another_way(page, recordings):
    choose(page, recordings / 'ser.npy', recordings / 'nser.npy', rate_hz='')
    assert rows(page, '[data-kind=rejected]').count() == 2
    expect(rows(page).first).to_contain_text('--sampling_rate_hz')
    page.locator('#next-sampling_rate_hz').fill('40000')
    page.get_by_role('button', name='Classify all again so').click()
    expect(rows(page, '[data-kind=rejected]')).to_have_count(0)
    finished(page, 2)
    # The form holds for what a watched folder brings, so that a new page shows it as it is.
    page.reload()
    expect(page.locator('#next-sampling_rate_hz')).to_have_value('40000')
    set_rate(page, '-1')
    page.get_by_label('Scale').first.focus()
    expect(page.locator('#next .problem')).to_contain_text('The sampling rate is in Hz, such as 40000. The former')
    expect(page.get_by_label('Scale').first).to_be_focused()


def test_wrong_files_say_why(page, recordings, tmp_path):
    (tmp_path / 'notes.txt').write_text('cell 3 died')
    (tmp_path / 'broken.abf').write_bytes(b'ABF2' + bytes(10))
    (tmp_path / 'A_trigger_4.csv').write_text('time,current\n')
    choose(page, *sorted(tmp_path.iterdir()), count=2)
    expect(page.locator('#refused')).to_contain_text('A_trigger_4.csv was not taken: is one spike of a cell')
    expect(rows(page).filter(has_text='notes.txt')).to_contain_text('expected a recording')
    expect(rows(page).filter(has_text='broken.abf')).to_contain_text('14 bytes are less than an ABF2 header')
    opened = open_cell(page, 'notes.txt')
    assert opened.get_by_role('button', name='Classify again').count() == 0
    opened = open_cell(page, 'broken.abf')
    assert opened.get_by_role('button', name='Classify again').count() == 1


def test_of_two_files_of_one_name_the_second_is_used_when_the_first_is_removed(page, app, recordings):
    choose(page, recordings / 'ser.npy')
    choose(page, recordings / 'ser.npy', count=2)
    duplicate = rows(page, '[data-kind=rejected]')
    expect(duplicate).to_contain_text('cell ser is already used, from ser.npy')
    assert open_cell(page, 'ser.npy').get_by_role('button', name='Classify again').count() == 0
    open_cell(page, 'ser').get_by_role('button', name='Remove from the page').click()
    expect(rows(page).locator('th')).to_have_text(['ser'], timeout=SECONDS)
    assert app.uploaded() == ['ser.npy']


def test_of_two_files_of_one_name_the_second_is_used_when_the_first_is_rejected(page, recordings):
    choose(page, recordings / 'ser.npy')
    choose(page, recordings / 'ser.npy', count=2)
    opened = open_cell(page, 'ser')
    opened.get_by_label('Scale').fill('0.001')
    opened.get_by_role('button', name='Classify again').click()
    expect(rows(page).locator('th')).to_have_text(['ser.npy', 'ser'], timeout=SECONDS)
    expect(rows(page, '[data-kind=rejected]')).to_contain_text('--scale corrects it')


def downloaded(page, name: str) -> bytes:
    with page.expect_download() as started:
        page.get_by_role('link', name=name, exact=True).click()
    return pathlib.Path(started.value.path()).read_bytes()


def test_downloads_hold_what_the_page_shows(page, app, recordings):
    choose(page, recordings / 'ser.npy', recordings / 'nser.npy')
    table = list(csv.DictReader(io.StringIO(downloaded(page, 'cells.csv').decode())))
    assert [(row['cell'], row['verdict']) for row in table] == [('nser', 'NSER'), ('ser', 'SER')]
    report = downloaded(page, 'report.html').decode()
    assert 'nser.npy' in report and str(app.temporary) not in report
    with zipfile.ZipFile(io.BytesIO(downloaded(page, 'nwb.zip'))) as nwb:
        assert nwb.namelist() == ['nser.nwb', 'ser.nwb']
    open_cell(page, 'ser')
    assert downloaded(page, 'Download NWB')[:4] == b'\x89HDF'
    # They are made anew when something was added.
    choose(page, recordings / 'upward.npy', count=3)
    assert downloaded(page, 'cells.csv').count(b'\n') == 4


def test_a_folder_of_a_hundred_files_is_classified_after_another_job_and_a_reload(page, app, recordings, tmp_path):
    choose(page, recordings / 'ser.npy')
    current_pa, _ = simulated_current(1.0, 'NSER', udi_ms=0.4)
    (tmp_path / 'day' / 'deep').mkdir(parents=True)
    for number in range(99):
        np.save(tmp_path / 'day' / f'many_{number}.npy', current_pa)
    np.save(tmp_path / 'day' / 'deep' / 'inner.npy', current_pa)
    np.save(tmp_path / 'day' / '.hidden.npy', current_pa)
    (tmp_path / 'day' / 'SIMULATED.json').write_text('{}')
    with app.reading_halted():
        page.set_input_files('#choose', [str(recordings / 'nser.npy')])
        drop(page, tmp_path / 'day')
        expect(rows(page, ':is([data-kind=waiting], [data-kind=reading])')).to_have_count(101, timeout=SECONDS)
        expect(page.locator('#said')).to_be_empty()
        page.reload()
        expect(page.locator('#progress')).to_have_text('0 of 101 recordings classified; now nser.npy')
        expect(rows(page)).to_have_count(102)
    finished(page, 102)
    counts = [int(count) for count in page.locator('[data-count]').all_inner_texts()]
    assert sum(counts) == 102 and rows(page, '[data-kind=rejected]').count() == 0
    expect_names(page, ['ser', 'nser', 'inner', *(f'many_{number}' for number in range(99))])


@pytest.mark.parametrize(('scheme', 'width'), [('light', 1280), ('dark', 400)])
def test_it_can_be_read_by_everyone(page, recordings, tmp_path, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({'width': width, 'height': 900})
    (tmp_path / 'notes.txt').write_text('cell 3 died')
    choose(page, recordings / 'nser.npy', tmp_path / 'notes.txt', recordings / 'nano.npy')
    for name in ('nano.npy', 'nser'):
        open_cell(page, name)
        assert page.evaluate('document.documentElement.scrollWidth') == width
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate(NAMELESS) == []
    assert page.evaluate(SMALL_LETTERS, 10) == []


def test_a_link_on_a_page_of_another_site_opens_the_page(page, app):
    page.goto(f'data:text/html,<a href="{app.url}">the address in another terminal</a>')
    page.get_by_role('link').click()
    expect(page.get_by_role('heading', level=1)).to_have_text('Serotonergic or not')
    page.reload()
    expect(page.get_by_text('Choose recordings')).to_be_visible()


def test_that_the_program_does_not_answer_is_said_until_it_does(page):
    page.context.set_offline(True)
    expect(page.locator('#said')).to_contain_text('The program does not answer')
    assert page.evaluate(CONTRAST) == []
    page.context.set_offline(False)
    expect(page.locator('#said')).to_be_empty(timeout=SECONDS)
