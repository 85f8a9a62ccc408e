"""What the name of a cell can do, wherever it is written or shown: nothing but name the cell."""

import csv
import html.parser
import json
import unicodedata
import warnings

import pynwb
import pytest
import tensorflow_datasets as tfds

from beam_pipelines.datasets import configs, tfds_metadata
from beam_pipelines.recordings.cell_files import group_files
from tests.support.classified_cells import INFO, make_cell, write_verdicts
from trainer.classify.nwb_export import export_nwb, file_stems
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.outputs import plain_text
from trainer.reports import figures, waveform_figures
from trainer.reports.terminal import verdict_line

NAMES = [
    '=HYPERLINK("http:,x","y")#1', '+1#2', '-2+3#1', '@SUM(A1)#1', '--model=x#1', '1e5', 'nan', '#',
    'a"b,c;d\'e\\#1', '<script>alert(1)&amp;#1', '"><img src=x onerror=alert(1)>#1', ']]>-->#1',
    'x\\..\\..\\y#1', '~#1', 'CON', 'nul.x#1', '*?|:#1', '%s%n%(x)d{0}{{ 7*7 }}#1', '$\\frac{x#1', '_a#1',
    'x' * 246 + '#1', 'x' * 246 + '#2', 'A1#1', 'a1#1', '\uff211#1', 'A\u00e9#1', '\u795e\u7d4c\U0001f600#1',
]  # fmt: skip


@pytest.fixture(scope='module')
def cells():
    return [make_cell(name, f'{name}.abf', seed=number, label=number % 2) for number, name in enumerate(NAMES)]


@pytest.fixture(scope='module')
def written(cells, tmp_path_factory):
    """The outputs of sero-classify on cells of these names, by a model of which only the description is there."""
    return write_verdicts(tmp_path_factory.mktemp('out'), cells, ['phy'])


def test_the_names_are_names_of_recordings():
    recordings, rejected = group_files([('original', 0, f'r/{name}.abf') for name in NAMES])
    assert {recording.cell_id for recording in recordings} == set(NAMES) and not rejected


@pytest.mark.parametrize(
    ('file', 'delimiter'), [('cells.csv', ','), ('spikes.csv', ','), ('phy/cluster_sero.tsv', '\t')]
)
def test_tables_hold_each_name_once_and_no_formula(written, file, delimiter):
    with open(written / file, newline='', encoding='utf-8') as table:
        rows = list(csv.DictReader(table, delimiter=delimiter))
    assert {row['cell'] for row in rows} == set(map(plain_text, NAMES))
    assert not any(value.startswith(tuple('=+-@')) for row in rows for value in (row['cell'], *row))
    assert None not in {key for row in rows for key in row}


class _Page(html.parser.HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.elements, self.text = [], ''
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, sorted(name for name, _ in attributes)))

    def handle_data(self, data):
        self.text += data


def test_names_are_text_of_the_report(written):
    page = _Page((written / 'report.html').read_text(encoding='utf-8'))
    assert not {tag for tag, _ in page.elements} & {'img', 'iframe', 'link', 'object'}
    assert sum(tag == 'script' for tag, _ in page.elements) == 1
    assert not any(name.startswith('on') for _, attributes in page.elements for name in attributes)
    assert [name for name in NAMES if name not in page.text] == []


# One of each kind, because each file takes as long as all else together.
@pytest.mark.parametrize('name', [NAMES[0], '<script>alert(1)&amp;#1', 'x\\..\\..\\y#1', 'x' * 246 + '#1'])
def test_a_cell_has_an_nwb_file_in_the_folder(name, tmp_path):
    (path,) = export_nwb(tmp_path, [make_cell(name, f'{name}.abf')], INFO)
    assert list(tmp_path.rglob('*')) == [path]
    with pynwb.NWBHDF5IO(str(path), 'r') as io:
        file = io.read()
        assert (file.session_id, file.units['cell'][0]) == (name, name)


def test_names_of_nwb_files_differ_on_every_file_system():
    stems = file_stems(NAMES)
    assert len({unicodedata.normalize('NFC', stem).casefold() for stem in stems}) == len(NAMES)
    assert not any(set(stem) & set('/\\:*?"<>|') or len(stem.encode()) > 250 for stem in stems)


def test_labels_of_a_dataset_are_the_names(tmp_path):
    splits = tfds_metadata.split_infos({'test': [1]}, {'test': 756}, str(tmp_path))
    tfds_metadata.write_dataset_info(str(tmp_path), configs.CONFIGS['non_homogeneous'], NAMES, splits, {})
    label = tfds.builder_from_directory(str(tmp_path)).info.features['cell']
    assert label.names == NAMES
    assert [label.str2int(name) for name in NAMES] == list(range(len(NAMES)))
    assert (tmp_path / 'cell.labels.txt').read_text(encoding='utf-8').splitlines() == NAMES
    assert json.loads((tmp_path / 'dataset_info.json').read_text(encoding='utf-8'))


@pytest.mark.parametrize('draw', [figures.cell_probabilities, waveform_figures.mean_waveforms])
def test_figures_draw_each_name_without_a_word(cells, draw):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert figures.to_png(draw([cell.result for cell in cells])).startswith(b'\x89PNG')


def test_lines_of_the_terminal_are_one_line_each(cells):
    for cell in cells:
        line = verdict_line(cell.result, Calibration('none'))
        assert line.isprintable() and cell.result.cell[:20] in line
