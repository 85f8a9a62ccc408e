import dataclasses
import datetime
import errno
import html
import html.parser
import json
import os
import re
import subprocess
import time
from xml.etree import ElementTree

import numpy as np
import pytest

import beam_pipelines
from beam_pipelines import domain
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.simulation import cells as simulated_cells
from beam_pipelines.spikes.detection import cut_windows, find_triggers
from beam_pipelines.spikes.waveform_features import measure_udi_ms
from tests.support.browser import CHROMIUM, needs_chromium
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.results import CellResult, ClassifiedCell, ClassifiedSpikes, TraceEnvelope
from trainer.evaluation.training_range import TrainingRange
from trainer.evaluation.verdicts import is_close_to_undecided
from trainer.reports.classification_report import write_report

EVIL_NAME = '<img src=x onerror=alert(1)>'
INFO = {
    'source': 'simulated',
    'protocol': 'by_cell',
    'trained_on': 'synthetic_small',
    'members': ['k20', 'k25', 'k30'],
    'created': '2026-11-22T08:14:09+00:00',
    'calibration': {'method': 'temperature'},
}
REJECTED = [
    RejectedFile(f'{EVIL_NAME}.abf', 'not_abf', 'begins with <b>'),
    RejectedFile('day\udcff#002.abf', 'no_spikes', 'deepest sample -31.2 pA'),
]
WARNING = CellWarning('noise_high', f'The noise is high: 9.1 pA, where {EVIL_NAME} had at most 4.3 pA.')


def make_cell(number: int, seconds: float = 20.0, **changes) -> ClassifiedCell:
    """Returns a simulated cell as `sero-classify` would find it; its class and its verdict follow from `number`."""
    rng = np.random.default_rng(number)
    label = number % 2
    udi_ms = rng.uniform(0.3, 0.8) if label else rng.uniform(0.8, 1.6)
    cell = simulated_cells.draw_cell(domain.LABEL_NAMES[label], udi_ms, 1.0, rng)
    current_pa = rng.normal(0, 3, int(seconds * domain.SAMPLING_RATE_HZ)).astype(np.float32)
    times_s = simulated_cells.spike_times_s(cell, seconds, rng)
    simulated_cells.add_spikes(current_pa, cell, times_s, domain.SAMPLING_RATE_HZ, rng)
    trigger = find_triggers(current_pa)
    waveform, kept = cut_windows(current_pa, trigger)
    before = waveform[:, :20]
    amplitude_pa = before.mean(axis=1) - waveform.min(axis=1)
    logit = (-1 if label else 1) * rng.uniform(0, 3)
    p_ser = 1 / (1 + np.exp(-(logit + rng.normal(0, 1, len(waveform)))))
    low, middle, high = 1 / (1 + np.exp(-(1.3 * logit + np.array([-0.8, 0, 0.8]))))
    mean = waveform.mean(axis=0)
    stretches = current_pa.reshape(-1, len(current_pa) // 2000)
    result = CellResult(
        cell=f'S2611{number % 28 + 1:02d}#{number:03d}',
        verdict='undecided' if low < 0.5 < high else domain.LABEL_NAMES[int(middle < 0.5)],
        p_ser=float(middle),
        p_ser_low=float(low),
        p_ser_high=float(high),
        p_ser_published=float(p_ser.mean()),
        n_spikes=len(waveform),
        udi_ms=measure_udi_ms(mean, domain.SAMPLING_RATE_HZ),
        label=None,
        mean_waveform=mean,
    )
    classified = ClassifiedCell(
        path=f'recordings/{result.cell}.abf',
        result=result,
        spikes=ClassifiedSpikes(
            trigger=trigger[kept],
            time_s=trigger[kept] / domain.SAMPLING_RATE_HZ,
            waveform=waveform,
            p_ser=p_ser,
            amplitude_pa=amplitude_pa,
            udi_ms=np.full(len(waveform), np.nan),
            snr=amplitude_pa / before.std(axis=1),
        ),
        trace=TraceEnvelope(
            time_s=(np.arange(len(stretches)) + 0.5) * seconds / len(stretches),
            low_pa=stretches.min(axis=1),
            high_pa=stretches.max(axis=1),
        ),
        duration_s=seconds,
        saliency=0.002 * logit * np.gradient(mean),
        source='simulated',
    )
    return dataclasses.replace(classified, **changes)


def with_result(cell: ClassifiedCell, /, **changes) -> ClassifiedCell:
    return dataclasses.replace(cell, result=dataclasses.replace(cell.result, **changes))


def with_spikes(cell: ClassifiedCell, count: int) -> ClassifiedCell:
    """Returns the cell with its first spikes alone."""
    fields = dataclasses.fields(ClassifiedSpikes)
    spikes = ClassifiedSpikes(**{field.name: getattr(cell.spikes, field.name)[:count] for field in fields})
    return with_result(dataclasses.replace(cell, spikes=spikes), n_spikes=count)


@pytest.fixture(scope='module')
def cells() -> list[ClassifiedCell]:
    return [make_cell(number) for number in range(12)]


@pytest.fixture(scope='module')
def training_range() -> TrainingRange:
    trained = [make_cell(number, seconds=5.0) for number in range(100, 130)]
    return TrainingRange(
        label=np.arange(30) % 2,
        mean_waveform=np.array([cell.result.mean_waveform for cell in trained]),
        udi_ms=np.array([cell.result.udi_ms for cell in trained]),
        amplitude_pa=np.array([np.median(cell.spikes.amplitude_pa) for cell in trained]),
        noise_pa=np.full(30, 3.0),
        firing_rate_hz=np.array([len(cell.spikes.trigger) / 5 for cell in trained]),
        n_spikes=np.array([cell.result.n_spikes for cell in trained]),
    )


def written(folder, cells, training_range, rejected=(), info=INFO) -> str:
    return write_report(folder, cells, list(rejected), info, training_range).read_text()


def text_of(page: str) -> str:
    """Returns what a reader sees of an HTML page, with single spaces."""
    body = re.sub(r'(?s)<(style|script)\b.*?</\1>', ' ', page)
    return ' '.join(html.unescape(re.sub(r'<[^>]*>', ' ', body)).replace('\xa0', ' ').split())


def pictures_of(page: str) -> list[ElementTree.Element]:
    """Returns the pictures of all cells, four of each."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r'(?s)<figure[^>]*>(<svg.*?</svg>)<figcaption', page)]


class PageReader(html.parser.HTMLParser):
    """Collects all tags, and the addresses in attributes that lead anywhere but to a place on the page."""

    def __init__(self, page: str):
        super().__init__()
        self.addresses, self.tags = [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        sources = [value for name, value in attrs if name in ('src', 'href', 'srcset', 'data', 'action')]
        self.addresses += [value for value in sources if not value.startswith('#')]


class TestText:
    def test_verdicts_of_all_cells_come_first(self, cells, training_range, tmp_path):
        text = text_of(written(tmp_path, cells, training_range))
        for cell in cells:
            result = cell.result
            close = ' close to undecided' if is_close_to_undecided(result, Calibration()) else ''
            assert f'{result.cell} {result.verdict}{close} {result.p_ser:.2f} {result.p_ser_low:.2f} to' in text
        ser = sum(cell.result.verdict == 'SER' for cell in cells)
        assert 0 < ser < 12
        assert f'{ser} SER {sum(cell.result.verdict == "NSER" for cell in cells)} NSER' in text
        assert '12 cells classified' in text
        assert 'Every file could be used' in text

    def test_rejected_files_are_listed_with_the_reason(self, cells, training_range, tmp_path):
        text = text_of(written(tmp_path, cells[:2], training_range, REJECTED))
        assert '2 files could not be used' in text
        assert f'{EVIL_NAME}.abf the file is not an ABF1 or ABF2 file begins with <b>' in text
        assert r'day\udcff#002.abf no trigger, or none that is a spike' in text
        assert 'deepest sample -31.2 pA' in text

    def test_nothing_but_rejected_files(self, training_range, tmp_path):
        assert 'No recording could be classified. 2 files could not be used' in text_of(
            written(tmp_path, [], training_range, REJECTED)
        )

    def test_warnings_are_counted_and_quoted(self, cells, training_range, tmp_path):
        warned = with_result(cells[0], warnings=(WARNING, CellWarning('bursts', 'A burst.')))
        text = text_of(written(tmp_path, [warned, cells[1]], training_range))
        assert 'There are warnings on 1 cell (1 outside the range of the training cells):' in text
        assert f'⚠ {WARNING} ⚠ A burst.' in text

    def test_a_probability_at_its_limit_and_a_verdict_near_the_line_say_so(self, cells, training_range, tmp_path):
        info = INFO | {'calibration': {'method': 'temperature', 'cells': 6, 'least_p': 0.125}}
        sure = with_result(cells[0], verdict='SER', p_ser=0.874, p_ser_low=0.873, p_ser_high=0.8745)
        near = with_result(cells[1], verdict='SER', p_ser=0.66, p_ser_low=0.52, p_ser_high=0.75)
        page = written(tmp_path, [sure, near], training_range, info=info)
        text = text_of(page)
        assert f'{sure.result.cell} SER at most 0.875 limited by 6 calibrating cells' in text
        assert f'{near.result.cell} SER close to undecided 0.66 0.52 to 0.75' in text
        assert '0.87 to 0.87' not in text
        assert page.count('class="chip close ser"') == 2  # in the table and above the cell

    def test_all_text_is_escaped(self, cells, training_range, tmp_path):
        evil = with_result(
            dataclasses.replace(cells[0], path=f'{EVIL_NAME}.abf'), cell=f'{EVIL_NAME}#1', warnings=(WARNING,)
        )
        info = INFO | {'trained_on': EVIL_NAME, 'created': EVIL_NAME, 'undecided_rule': EVIL_NAME}
        page = written(tmp_path, [evil], training_range, REJECTED, info)
        assert '<img' not in page
        assert '<b>' not in page
        assert text_of(page).count(EVIL_NAME) == 7
        assert PageReader(page).tags.isdisjoint({'img', 'iframe', 'object', 'embed', 'link', 'base'})

    def test_simulated_recordings_are_stamped(self, cells, training_range, tmp_path):
        recorded = dataclasses.replace(cells[0], source='recorded')
        page = written(tmp_path, [recorded], training_range)
        assert 'trained on simulated recordings This page shows' in text_of(page)
        assert 'the recordings are simulated' not in page
        real_info = INFO | {'source': 'recorded'}
        page = written(tmp_path, [recorded, cells[1]], training_range, info=real_info)
        assert '1 of 2 recordings are simulated This page shows' in text_of(page)
        assert 'simulated' not in text_of(written(tmp_path, [recorded], training_range, info=real_info))

    def test_recordings_of_real_shapes_have_a_stamp_of_their_own(self, cells, training_range, tmp_path):
        made = dataclasses.replace(cells[0], source='real_shapes')
        text = text_of(written(tmp_path, [made], training_range, info=INFO | {'source': 'real_shapes'}))
        assert 'trained on recordings of real spike shapes under simulated noise; the recordings are of real' in text
        assert 'it says nothing about raphe neurons, because SER and NSER stand for other types' in text
        assert 'simulated recordings' not in text
        # The least real recordings decide what the page can say.
        assert 'nothing about real neurons' in text_of(written(tmp_path, [made], training_range))

    def test_cell_stands_beside_the_range_of_the_training_cells(self, cells, training_range, tmp_path):
        text = text_of(written(tmp_path, cells[:1], training_range))
        low, high = np.percentile(training_range.udi_ms[::2], (5, 95))
        assert f'Spike width, UDI (ms) {cells[0].result.udi_ms:.2f} {low:.2f} to {high:.2f}' in text
        assert 'Noise before spikes (pA) 2.9 3.0 to 3.0 3.0 to 3.0' in text
        of_training = training_range.amplitude_pa[::2] / training_range.noise_pa[::2]
        low, high = np.percentile(of_training, (5, 95))
        assert f'{np.median(cells[0].spikes.snr):.1f} {low:.1f} to {high:.1f}' in text

    def test_the_page_says_when_it_was_written_by_what_and_with_which_model(self, cells, training_range, tmp_path):
        text = text_of(written(tmp_path, cells[:1], training_range, info=INFO | {'path': 'runs/mine'}))
        today, version = time.strftime('%Y-%m-%d'), beam_pipelines.__version__
        assert f'Written {today} by sero-spikes {version} with the model runs/mine .' in text

    @pytest.mark.parametrize(('zone', 'offset'), [(None, ''), (datetime.timezone.utc, '+00:00')])
    def test_a_recording_says_when_it_began(self, cells, training_range, tmp_path, zone, offset):
        dated = dataclasses.replace(cells[0], started=datetime.datetime(2021, 7, 15, 13, 10, 30, tzinfo=zone))
        assert f'recorded 2021-07-15 13:10{offset} ·' in text_of(written(tmp_path, [dated], training_range))
        assert 'recorded 20' not in text_of(written(tmp_path, cells[:1], training_range))


class TestUnusualCells:
    def test_spike_csvs_have_no_trace(self, cells, training_range, tmp_path):
        page = written(tmp_path, [dataclasses.replace(cells[0], trace=None, duration_s=0.0)], training_range)
        assert 'class="trace"' not in page
        assert 'The consensus for each single spike' in page

    def test_one_spike(self, cells, training_range, tmp_path):
        text = text_of(written(tmp_path, [with_spikes(cells[0], 1)], training_range))
        assert '1 spike ·' in text
        assert 'The only spike.' in text
        assert 'Firing rate (Hz) –' in text

    def test_udi_that_cannot_be_measured(self, cells, training_range, tmp_path):
        page = written(tmp_path, [with_result(cells[0], udi_ms=float('nan'))], training_range)
        assert 'this cell’s cannot be measured' in page
        assert 'nan' not in text_of(page).lower().split()

    def test_artefact_does_not_flatten_the_trace(self, cells, training_range, tmp_path):
        low_pa = cells[0].trace.low_pa.copy()
        low_pa[1000] = -9000
        page = written(
            tmp_path,
            [dataclasses.replace(cells[0], trace=dataclasses.replace(cells[0].trace, low_pa=low_pa))],
            training_range,
        )
        assert 'artefacts reach beyond the picture' in page
        assert '−2000' not in page

    def test_events_left_out_are_marked_in_the_trace(self, cells, training_range, tmp_path):
        strokes = re.compile(r'class="left-out" d="([^"]*)"')
        (unmarked,) = strokes.findall(written(tmp_path, cells[:1], training_range))
        trace = dataclasses.replace(cells[0].trace, left_out_s=np.array([1.0, 2.0, 3.0]))
        page = written(tmp_path, [dataclasses.replace(cells[0], trace=trace)], training_range)
        (marked,) = strokes.findall(page)
        assert (unmarked.count('v'), marked.count('v')) == (0, 3)
        assert 'a grey one for each event that was left out' in page

    def test_training_cells_of_one_class_and_flat_spikes(self, cells, training_range, tmp_path):
        only_ser = TrainingRange(
            **{field.name: getattr(training_range, field.name)[::2] for field in dataclasses.fields(TrainingRange)}
        )
        flat = dataclasses.replace(cells[0], saliency=np.zeros(160))
        page = written(tmp_path, [with_result(flat, mean_waveform=np.zeros(160, np.float32))], only_ser)
        assert 'nan' not in text_of(page).lower().split()
        assert not re.search(r'd="[^"]*nan', page)


class TestFile:
    def test_same_verdicts_give_the_same_page_and_nothing_else(self, cells, training_range, tmp_path):
        first = written(tmp_path / 'a', cells[:2], training_range, REJECTED)
        assert written(tmp_path / 'b', cells[:2], training_range, REJECTED) == first
        assert [path.name for path in (tmp_path / 'a').iterdir()] == ['report.html']

    def test_nothing_is_loaded(self, cells, training_range, tmp_path):
        page = written(tmp_path, cells[:2], training_range, REJECTED)
        assert PageReader(page).addresses == []
        assert not re.search(r'@import|url\(|fetch\(|XMLHttpRequest', page)

    def test_300_cells_stay_under_15_mb(self, training_range, tmp_path):
        # 100 s at 3 Hz, as the published recordings are; twelve of them, twenty-five times over.
        full = [make_cell(number, seconds=100.0) for number in range(12)]
        many = [with_result(full[number % 12], cell=f'day#{number}') for number in range(300)]
        page = written(tmp_path, many, training_range)
        assert len(page.encode()) < 15e6
        assert all(f'>day#{number}<' in page for number in range(300))


class TestPictures:
    def test_every_spike_is_marked_and_has_its_probability(self, cells, training_range, tmp_path):
        activity = pictures_of(written(tmp_path, cells[:1], training_range))[0]
        strokes = {path.get('class'): path.get('d').lower().count('m') for path in activity.iter('path')}
        count = cells[0].result.n_spikes
        assert strokes['trigger'] == count
        assert strokes['dot ser'] + strokes['dot nser'] == count

    def test_the_threshold_is_drawn_and_labelled(self, cells, training_range, tmp_path):
        trace = dataclasses.replace(cells[0].trace, trigger_pa=-35.0)
        page = written(tmp_path, [dataclasses.replace(cells[0], trace=trace)], training_range)
        activity = pictures_of(page)[0]
        (line,) = (path.get('d') for path in activity.iter('path') if path.get('class') == 'threshold')
        (label,) = (text for text in activity.iter('text') if text.text == '−35 pA')
        drawn_px = int(re.match(r'M0 (\d+)h', line)[1]) / 5
        assert drawn_px < float(label.get('y')) < drawn_px + 6
        assert 'the threshold of −35 pA that a spike must reach' in page
        page = written(tmp_path, [dataclasses.replace(cells[0], trace=None)], training_range)
        assert not any(path.get('class') == 'threshold' for path in pictures_of(page)[0].iter('path'))

    def test_a_screen_reader_says_what_is_seen(self, cells, training_range, tmp_path):
        result = cells[0].result
        ser = int((cells[0].spikes.p_ser >= 0.5).sum())
        activity, overlay, _, udi = pictures_of(written(tmp_path, cells[:1], training_range))
        assert activity.get('aria-label') == (
            'From 0 to 20 s: the current with the threshold of −50 pA, and '
            f'p(SER) of {result.n_spikes} spikes, of which {ser} lean to SER'
        )
        assert f'trough is at −{-result.mean_waveform.min():.0f} pA' in overlay.get('aria-label')
        assert udi.get('aria-label').endswith(
            f'of 15 SER and 15 NSER training cells; this cell: {result.udi_ms:.2f} ms'
        )

    def test_saliency_for_ser_points_up_and_for_nser_down(self, cells, training_range, tmp_path):
        saliency = np.zeros(160)
        saliency[50:53], saliency[90:100] = 1.0, -1.0
        page = written(tmp_path, [dataclasses.replace(cells[0], saliency=saliency)], training_range)
        shape = pictures_of(page)[2]
        assert shape.get('aria-label').endswith('; most for SER at 0.25 ms; most for NSER at 1.25 ms')
        bars = {
            path.get('class'): re.findall(r'M(\d+) (\d+)V(\d+)', path.get('d'))
            for path in shape.iter('path')
            if path.get('class', '').startswith('bar')
        }
        assert len(bars['bar-ser']) == 3
        assert len(bars['bar-nser']) == 10
        assert all(int(end) < int(zero) for _, zero, end in bars['bar-ser'])
        assert all(int(end) > int(zero) for _, zero, end in bars['bar-nser'])


@needs_chromium
def test_browser_renders_and_sorts_without_errors_or_requests(cells, training_range, tmp_path):
    cells = [*cells[:5], with_result(cells[5], cell=f'{EVIL_NAME}.abf', udi_ms=float('nan'))]
    path = write_report(tmp_path / 'verdicts', cells, REJECTED, INFO, training_range)
    probe = """<script>
        const column = n => [...document.querySelectorAll('.verdicts tbody tr')].map(row => row.cells[n].innerText);
        const heads = [...document.querySelectorAll('.verdicts thead th')];
        const click = n => { heads[n].firstElementChild.click(); return column(n); };
        window.addEventListener('load', () => {
          const sorted = heads.map((_, n) => [click(n), heads[n].ariaSort, click(n), heads[n].ariaSort]);
          const found = {sorted, lost: [...document.querySelectorAll('.verdicts a')].filter(
              link => document.querySelector(link.hash).querySelector('bdi').textContent !== link.textContent).length,
            pictures: [...document.querySelectorAll('figure > svg')].map(svg => svg.getBoundingClientRect().height),
            unfilled: [...document.querySelectorAll('use')].filter(use => !use.getBBox().width).length,
            loaded: performance.getEntriesByType('resource').length};
          document.documentElement.dataset.probe = JSON.stringify(found);
        });</script>"""
    probed = tmp_path / 'probed.html'
    probed.write_text(path.read_text() + probe)
    done = subprocess.run(
        [
            *(CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
            *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
            *(f'--user-data-dir={tmp_path / "profile"}', '--dump-dom', '--enable-logging=stderr'),
            *('--virtual-time-budget=5000', probed.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert 'CONSOLE' not in done.stderr
    found = json.loads(html.unescape(re.search(r'data-probe="([^"]*)"', done.stdout)[1]))
    assert found['loaded'] == 0
    assert found['lost'] == 0
    assert found['unfilled'] == 0
    assert len(found['pictures']) == 4 * len(cells)
    assert all(height > 100 for height in found['pictures'])
    for up, ascending, down, descending in found['sorted']:
        assert (ascending, descending) == ('ascending', 'descending')
        assert sorted(up) == sorted(down)
    by_p_ser, by_spikes, by_udi = (found['sorted'][column] for column in (2, 4, 5))
    p_ser = [float(shown.split()[0]) for shown in by_p_ser[0]]
    assert p_ser == sorted(p_ser)
    assert by_p_ser[2] == by_p_ser[0][::-1]
    assert [int(shown) for shown in by_spikes[0]] == sorted(cell.result.n_spikes for cell in cells)
    assert by_udi[0][-1] == by_udi[2][-1] == '–'
    assert by_udi[0][:-1] == by_udi[2][:-1][::-1] == sorted(by_udi[0][:-1], key=float)


def test_old_report_stays_until_the_new_one_is_whole(cells, training_range, tmp_path, monkeypatch):
    (tmp_path / 'report.html').write_text('old')

    def fail(path, content):
        raise OSError(errno.ENOSPC, 'no space left')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        write_report(tmp_path, cells[:1], [], INFO, training_range)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [('report.html', 'old')]
