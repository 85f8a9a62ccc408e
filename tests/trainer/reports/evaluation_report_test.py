import base64
import dataclasses
import errno
import html
import html.parser
import json
import os
import pathlib
import re
import subprocess
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from beam_pipelines import domain
from tests.support.browser import CHROMIUM, needs_chromium
from trainer.evaluation import metrics
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.evaluation.verdicts import undecided_rule
from trainer.models.model_info import ModelInfo
from trainer.reports import evaluation_report, figures

EVIL_NAME = '<img src=x onerror=alert(1)>'
HUM = CellWarning('hum', 'Mains hum.')
FIGURE_FILES = {
    'cell_probabilities.png',
    'confusion_non_homogeneous.png',
    'confusion_original.png',
    'coverage_accuracy.png',
    'mean_waveforms.png',
    'reliability.png',
    'roc.png',
    'udi_histogram.png',
}


def make_waveform(label: int | None, udi_ms: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a (160,) mean spike in pA: trough just after the trigger, peak ``udi_ms`` later."""
    time_ms = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / 40
    depth_pa, hump = rng.uniform(70, 120), 0.25 if label else 0.18
    trough = np.exp(-0.5 * ((time_ms - 0.05) / 0.07) ** 2)
    shoulder = (0.25 if label else 0.4) * np.exp(-0.5 * ((time_ms + 0.07) / 0.05) ** 2)
    peak = hump * np.exp(-0.5 * ((time_ms - 0.05 - udi_ms) / (0.4 * udi_ms)) ** 2)
    return (depth_pa * (peak - trough - shoulder) + rng.normal(0, 0.3, time_ms.size)).astype(np.float32)


def make_cells(n_ser: int, n_nser: int, skill: float, seed: int = 0) -> list[CellResult]:
    """Returns cells whose ``p_ser`` tells the classes apart the better, the larger ``skill``."""
    rng = np.random.default_rng(seed)
    cells = []
    for number, label in enumerate([0] * n_ser + [1] * n_nser):
        udi_ms = float(rng.normal(0.65, 0.2) if label else rng.normal(1.2, 0.35))
        udi_ms = max(udi_ms, 0.2)
        logit = skill * (-1 if label else 1) + rng.normal(0, 1.3)
        low, p_ser, high = 1 / (1 + np.exp(-(logit + np.array([-0.8, 0, 0.8]))))
        verdict = 'undecided' if 0.3 < p_ser < 0.7 else domain.LABEL_NAMES[int(p_ser < 0.5)]
        cell = CellResult(
            cell=f'S1503{number % 28 + 1:02d}#{number:03d}',
            verdict=verdict,
            p_ser=float(p_ser),
            p_ser_low=float(low),
            p_ser_high=float(high),
            p_ser_published=float(p_ser),
            n_spikes=int(rng.integers(15, 400)),
            udi_ms=udi_ms,
            label=label,
            mean_waveform=make_waveform(label, udi_ms, rng),
        )
        cells.append(cell)
    return sorted(cells, key=lambda cell: cell.cell)


def make_split(name: str, cells: list[CellResult], seed: int = 0, source: str = 'simulated') -> SplitResult:
    rng = np.random.default_rng(seed)
    labelled = [cell for cell in cells if cell.label is not None]
    n_spikes = np.array([min(cell.n_spikes, 100) for cell in labelled], dtype=int)
    logit = np.array([np.log(cell.p_ser / (1 - cell.p_ser)) for cell in labelled])
    spike_p_ser = 1 / (1 + np.exp(-(np.repeat(logit, n_spikes) + rng.normal(0, 1, n_spikes.sum()))))
    spike_label = np.repeat(np.array([cell.label for cell in labelled], dtype=int), n_spikes)
    scores = {}
    if labelled:
        scores = {'spike': metrics.binary_metrics(spike_p_ser, spike_label), 'cell': metrics.cell_metrics(cells)}
        scores['cell']['undecided_rule'] = undecided_rule(Calibration())
    return SplitResult(name, source, spike_p_ser, spike_label, cells, scores)


def make_model(
    trained_on: str, skill: float, n_cells: tuple[int, int] = (12, 8), source: str = 'simulated'
) -> ModelResult:
    info = ModelInfo(
        source=source,
        protocol='by_cell',
        trained_on=trained_on,
        architecture='cnn',
        kernel_sizes=(20, 25, 30),
        members=('k20', 'k25', 'k30'),
        train_cells=(),
        examples_seen=1_270_060,
        versions={'sero-spikes': '0.1.0', 'tensorflow': '2.20.0', 'keras': '3.15.1'},
        created='2025-11-22T08:14:09+00:00',
        dataset_fingerprint='5f3a9c0e',
    )
    splits = [
        make_split('non_homogeneous/test', make_cells(*n_cells, skill=skill), source=source),
        make_split('original/test', make_cells(4, 3, skill=skill + 1, seed=1), source=source),
    ]
    return ModelResult(f'trained on {trained_on}', info, {split.name: split for split in splits})


def with_cells(model: ModelResult, cells: list[CellResult]) -> ModelResult:
    """Returns the model with these as the cells of ``non_homogeneous/test``."""
    return dataclasses.replace(
        model, splits=model.splits | {'non_homogeneous/test': make_split('non_homogeneous/test', cells)}
    )


@pytest.fixture(scope='module')
def model():
    return make_model('synthetic_small', skill=2.6)


@pytest.fixture(scope='module')
def baseline():
    return make_model('original', skill=1.0)


@pytest.fixture(scope='module')
def page(model, baseline, tmp_path_factory):
    """The path of a report on both models."""
    return evaluation_report.write_report(tmp_path_factory.mktemp('report') / 'new', model, baseline)


@pytest.fixture(scope='module')
def text(page):
    return text_of(page.read_text())


def text_of(page: str) -> str:
    """Returns what a reader sees of an HTML page, with single spaces."""
    body = re.sub(r'(?s)<(style|script)\b.*?</\1>', ' ', page)
    return ' '.join(html.unescape(re.sub(r'<[^>]*>', ' ', body)).replace('\xa0', ' ').split())


class AddressCollector(html.parser.HTMLParser):
    """Collects the start of every address in attributes that make a browser load something, and all tags."""

    def __init__(self):
        super().__init__()
        self.loaded, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loaded += [value[:30] for name, value in attrs if name in ('src', 'href', 'srcset', 'data', 'action')]


def run_chromium(page: pathlib.Path, tmp_path: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            *(CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
            *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
            *(f'--user-data-dir={tmp_path / "profile"}', *flags, page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


class TestFiles:
    def test_page_and_figures_and_nothing_else_are_written(self, page):
        assert page.name == 'report.html'
        assert {file.name for file in page.parent.iterdir()} == FIGURE_FILES | {'report.html'}
        assert all(file.read_bytes().startswith(b'\x89PNG') for file in page.parent.glob('*.png'))

    def test_same_results_give_same_page(self, page, model, baseline, tmp_path):
        assert evaluation_report.write_report(tmp_path, model, baseline).read_bytes() == page.read_bytes()

    def test_failure_while_writing_leaves_the_old_report(self, model, tmp_path, monkeypatch):
        (tmp_path / 'report.html').write_text('old')

        def fail_on_page(path, content):
            raise OSError(errno.ENOSPC, 'no space left')

        monkeypatch.setattr(os, 'replace', fail_on_page)
        with pytest.raises(OSError, match='no space left'):
            evaluation_report.write_report(tmp_path, model, None)
        assert [file.name for file in tmp_path.iterdir()] == ['report.html']
        assert (tmp_path / 'report.html').read_text() == 'old'


class TestText:
    def test_simulated_recordings_are_stamped(self, text):
        assert 'trained on simulated recordings' in text
        assert 'say nothing about real neurons' in text

    def test_evaluation_of_simulated_recordings_is_stamped_too(self, tmp_path):
        model = make_model('original', skill=2)
        model = dataclasses.replace(model, info=msgspec.structs.replace(model.info, source='recorded'))
        assert 'evaluated on simulated recordings' in evaluation_report.write_report(tmp_path, model, None).read_text()

    def test_real_shapes_have_a_stamp_of_their_own(self, tmp_path):
        model = dataclasses.replace(make_model('original', skill=2, source='real_shapes'), splits={})
        text = evaluation_report.write_report(tmp_path, model, None).read_text()
        assert 'trained on recordings of real spike shapes under simulated noise' in text
        assert 'they say nothing about raphe neurons, because SER and NSER stand for other types of neuron here' in text
        assert 'simulated recordings' not in text

    def test_cells_that_were_trained_on_are_warned_of(self, tmp_path):
        model = make_model('original', skill=2)
        model.splits['original/test'].metrics['cell']['cells_seen_in_training'] = 3
        text = evaluation_report.write_report(tmp_path, model, None).read_text()
        assert '3 of the 7 cells of original/test were trained on' in text

    def test_recorded_ones_are_not(self, tmp_path):
        recorded = make_model('original', skill=2, source='recorded')
        assert 'trained on simulated' not in evaluation_report.write_report(tmp_path, recorded, None).read_text()

    def test_headline_is_cell_accuracy_with_interval_and_coverage(self, text, model):
        scores = model.splits['non_homogeneous/test'].metrics['cell']
        low, high = 100 * scores['accuracy_low'], 100 * scores['accuracy_high']
        assert f'cells called as labelled {100 * scores["accuracy"]:.1f} % 95 % CI {low:.1f}–{high:.1f} %' in text
        assert f'coverage {100 * scores["coverage"]:.1f} %' in text
        decided = f'{100 * scores["coverage"]:.1f} % {100 * scores["decided_accuracy"]:.1f} %'
        assert f'{model.title} {100 * scores["accuracy"]:.1f} % {low:.1f}–{high:.1f} % {decided}' in text
        assert f'the model calls {round(20 * scores["accuracy"])} as labelled if it must choose' in text

    def test_published_figures_carry_their_source(self, text):
        assert 'published (arXiv 2407.05701 / 2405.05516), real recordings: not comparable' in text
        assert 'trained on synthetic 93.8 % – – 96.2 % 88.8 % 0.926' in text

    def test_undecided_rule_of_the_metrics_is_quoted(self, text, model):
        assert f'Undecided {model.splits["original/test"].metrics["cell"]["undecided_rule"]}' in text

    def test_baseline_is_left_out(self, text, model, tmp_path):
        alone = text_of(evaluation_report.write_report(tmp_path, model, None).read_text())
        assert 'For comparison, the model trained on original' in text
        assert 'For comparison' not in alone

    def test_names_are_escaped(self, model, tmp_path):
        cells = make_cells(3, 3, skill=2)
        cells[0] = dataclasses.replace(cells[0], cell=EVIL_NAME)
        evil = dataclasses.replace(with_cells(model, cells), title=f'trained on {EVIL_NAME}')
        page = evaluation_report.write_report(tmp_path, evil, None).read_text()
        assert EVIL_NAME not in page
        assert text_of(page).count(EVIL_NAME) >= 3

    def test_wrong_cells_are_listed_by_name_the_surest_mistake_first(self, model, tmp_path):
        cells = make_cells(5, 5, skill=9)
        cells[3] = dataclasses.replace(cells[3], label=1 - cells[3].label)
        page = text_of(evaluation_report.write_report(tmp_path, with_cells(model, cells), None).read_text())
        _, _, listed = page.partition('Called wrong')
        assert listed.strip().startswith(f'{cells[3].cell} is {domain.LABEL_NAMES[cells[3].label]}, called')
        assert 'No verdict is wrong' not in page

    def test_warnings_stand_with_their_cells_and_those_outside_the_training_range_are_counted(self, model, tmp_path):
        first, second, *others = model.splits['non_homogeneous/test'].cells
        noisy = dataclasses.replace(first, warnings=(CellWarning('noise_high', f'Noise of {EVIL_NAME}.'), HUM))
        warned = with_cells(model, [noisy, dataclasses.replace(second, warnings=(HUM,)), *others])
        page = evaluation_report.write_report(tmp_path, warned, None).read_text()
        text = text_of(page)
        assert f'1 cell of {len(others) + 2} lies outside the range of the training cells' in text
        assert f'Warnings {first.cell} Noise of {EVIL_NAME}. Mains hum. {second.cell} Mains hum.' in text
        assert '<img src=x' not in page

    def test_a_probability_at_its_limit_and_a_verdict_near_the_line_say_so(self, model, tmp_path):
        cell = model.splits['non_homogeneous/test'].cells[0]
        sure = dataclasses.replace(cell, label=1, verdict='SER', p_ser=0.874, p_ser_low=0.873, p_ser_high=0.8745)
        near = dataclasses.replace(cell, label=0, verdict='SER', p_ser=0.66, p_ser_low=0.52, p_ser_high=0.75)
        calibration = Calibration('temperature', cells=6, least_p=0.125)
        calibrated = dataclasses.replace(with_cells(model, [sure, near]), calibration=calibration)
        text = text_of(evaluation_report.write_report(tmp_path, calibrated, None).read_text())
        assert f'{sure.cell} SER at most 0.875 limited by 6 calibrating cells' in text
        assert f'{near.cell} SER close to undecided 0.66 0.52 to 0.75' in text
        assert 'called SER: probability of SER at most 0.875 (limited by 6 calibrating cells), published' in text
        assert '0.87 to 0.87' not in text

    def test_udi_and_published_consensus_are_explained_under_the_first_table_that_has_them(self, text):
        _, _, after = text.partition('UDI: the upstroke-downstroke interval, the time from the trough of a cell’s')
        explained, _, _ = after.partition('In numbers')
        assert 'Published consensus: the plain mean of the networks’ outputs' in explained
        assert 'published consensus' in after

    def test_a_screen_reader_says_what_is_seen(self, page, model):
        scores = model.splits['non_homogeneous/test'].metrics
        (_, right_nser), (right_ser, _) = scores['cell']['confusion'][::-1]
        cells = model.splits['non_homogeneous/test'].cells
        seen = [html.unescape(alt) for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page.read_text())]
        assert len(seen) == len(set(seen)) == len(FIGURE_FILES)
        assert f'called as labelled of the cells, {model.title}, {right_ser} of 12 SER and {right_nser} of 8 NSER;' in (
            ' '.join(seen)
        )
        ser = [cell.outcome for cell in cells if cell.label == 0]
        assert f'of SER, {ser.count("right")} called right, {ser.count("wrong")} wrong' in seen[1]
        assert f'{model.title}, AUC {scores["cell"]["auc"]:.3f} of cells' in seen[2]
        assert f'{np.median([cell.udi_ms for cell in cells if cell.label == 0]):.2f} ms of 12 SER cells' in seen[3]

    def test_typical_and_atypical_cells_are_counted(self, text, model):
        cell = model.splits['non_homogeneous/test'].metrics['cell']
        assert f'typical {cell["typical"]["n"]} {100 * cell["typical"]["accuracy"]:.1f} %' in text
        assert f'atypical {cell["atypical"]["n"]} {100 * cell["atypical"]["accuracy"]:.1f} %' in text


class TestUnusualResults:
    def test_one_cell(self, model, tmp_path):
        page = evaluation_report.write_report(tmp_path, with_cells(model, make_cells(1, 0, skill=5)), None).read_text()
        assert 'Of 1 neuron (' in text_of(page)

    def test_no_labels_no_udi(self, model, tmp_path):
        cells = [dataclasses.replace(cell, label=None, udi_ms=float('nan')) for cell in make_cells(3, 2, skill=2)]
        text = text_of(evaluation_report.write_report(tmp_path, with_cells(model, cells), None).read_text())
        assert '5 cells without a label' in text

    def test_some_without_label_or_udi(self, model, baseline, tmp_path):
        cells = make_cells(6, 5, skill=2)
        cells[0] = dataclasses.replace(cells[0], label=None)
        cells[1] = dataclasses.replace(cells[1], udi_ms=float('nan'))
        text = text_of(evaluation_report.write_report(tmp_path, with_cells(model, cells), baseline).read_text())
        assert '1 cell without a label' in text
        assert 'Left out: 1 cell whose width cannot be measured' in text

    def test_metrics_may_be_missing(self, model, tmp_path):
        splits = {name: dataclasses.replace(split, metrics={}) for name, split in model.splits.items()}
        text = text_of(
            evaluation_report.write_report(tmp_path, ModelResult('trained', model.info, splits), None).read_text()
        )
        assert 'trained – – – – – – – – –' in text

    def test_undefined_metrics_are_dashes(self, model, tmp_path):
        undefined = {unit: {'accuracy': None, 'auc': float('nan'), 'n': 0} for unit in ('spike', 'cell')}
        splits = {name: dataclasses.replace(split, metrics=undefined) for name, split in model.splits.items()}
        page = evaluation_report.write_report(tmp_path, dataclasses.replace(model, splits=splits), None)
        text = text_of(page.read_text())
        assert 'cells called as labelled – 95 % CI –' in text
        assert 'nan' not in text.lower().split()

    def test_without_non_homogeneous_recordings(self, model, tmp_path):
        only_original = dataclasses.replace(model, splits={'original/test': model.splits['original/test']})
        page = evaluation_report.write_report(tmp_path, only_original, None).read_text()
        assert model.splits['original/test'].cells[0].cell in page

    def test_300_cells_stay_under_15_mb(self, model, tmp_path):
        cells = make_cells(190, 110, skill=2.6)
        path = evaluation_report.write_report(tmp_path, with_cells(model, cells), None)
        assert path.stat().st_size < 15e6
        assert all(cell.cell in path.read_text() for cell in cells)


class TestFigures:
    def test_outcome(self):
        cell = make_cells(1, 0, skill=9)[0]
        assert cell.outcome == 'right'
        assert dataclasses.replace(cell, label=1).outcome == 'wrong'
        assert dataclasses.replace(cell, verdict='undecided').outcome == 'undecided'
        assert dataclasses.replace(cell, label=None).outcome is None

    def test_names_are_text_in_svg(self):
        names = (EVIL_NAME, '$x^$', '--><script>')
        cells = [dataclasses.replace(make_cells(1, 0, skill=2)[0], cell=name) for name in names]
        drawing = figures.cell_probabilities(cells)
        labels = [label.get_text() for label in drawing.axes[0].get_yticklabels()]
        assert labels == [figures.short_name(name) for name in sorted(names)]
        assert labels[-1].startswith('<img ')
        tags = {element.tag.rpartition('}')[2] for element in ElementTree.fromstring(figures.to_svg(drawing)).iter()}
        assert not tags & {'img', 'script'}

    def test_roc_encloses_the_stated_auc(self, model):
        axes = figures.roc_curves('non_homogeneous/test', [model]).axes[1]
        curve = axes.lines[1]
        auc = model.splits['non_homogeneous/test'].metrics['spike']['auc']
        assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(auc, abs=1e-6)


class TestBrowser:
    def test_nothing_is_loaded(self, page):
        source = page.read_text()
        collector = AddressCollector()
        collector.feed(source)
        assert collector.loaded
        assert all(address.startswith('data:image/svg+xml;base64,') for address in collector.loaded)
        assert not collector.tags & {'link', 'iframe', 'object', 'embed', 'base'}
        assert not re.search(r'@import|url\(|fetch\(|XMLHttpRequest', source)
        for figure in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', source):
            svg = base64.b64decode(figure).decode()
            assert '<script' not in svg
            assert not re.search(r'href="(?!#)', svg)

    @needs_chromium
    def test_renders_sorts_and_logs_no_error(self, model, baseline, tmp_path):
        cells = make_cells(6, 5, skill=2)
        cells[0] = dataclasses.replace(cells[0], cell=EVIL_NAME)
        cells[1] = dataclasses.replace(cells[1], udi_ms=float('nan'))
        path = evaluation_report.write_report(tmp_path / 'evaluation', with_cells(model, cells), baseline)
        probe = """<script>
            const column = n => [...document.querySelectorAll('.verdicts tbody tr')].map(row => row.cells[n].innerText);
            const click = n => document.querySelectorAll('.verdicts thead button')[n].click();
            window.addEventListener('load', () => {
              click(2); const up = column(2); click(2); const down = column(2); click(4); const udi = column(4);
              const found = {up, down, udi, images: [...document.images].map(image => image.naturalWidth),
                loaded: performance.getEntriesByType('resource').map(entry => entry.name.slice(0, 5))};
              document.documentElement.dataset.probe = JSON.stringify(found);
            });</script>"""
        probed = tmp_path / 'probed.html'
        probed.write_text(path.read_text() + probe)
        done = run_chromium(probed, tmp_path, '--dump-dom', '--enable-logging=stderr', '--virtual-time-budget=5000')

        assert 'CONSOLE' not in done.stderr
        found = json.loads(html.unescape(re.search(r'data-probe="([^"]*)"', done.stdout)[1]))
        p_ser = [float(text.split()[0]) for text in found['up']]
        assert p_ser == sorted(p_ser)
        assert found['down'] == found['up'][::-1]
        assert found['udi'][-1] == '–'
        assert found['udi'][:-1] == sorted(found['udi'][:-1], key=float)
        assert len(found['images']) == len(FIGURE_FILES)
        assert all(found['images'])
        assert set(found['loaded']) <= {'data:'}
