import copy
import pathlib
import re

import nbclient
import nbformat
import pytest

from tests.support.places import ROOT

PATH = ROOT / 'examples' / 'quickstart.ipynb'


@pytest.fixture(scope='module')
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(PATH, as_version=4)


def test_notebook_is_stored_without_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert code
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)


def test_notebook_says_first_that_its_recordings_are_simulated(notebook):
    assert 'SIMULATED' in notebook.cells[0].source
    assert 'says anything about real neurons' in notebook.cells[0].source.replace('\n', ' ')


def test_first_code_installs_and_says_what_to_change(notebook):
    first = next(cell for cell in notebook.cells if cell.cell_type == 'code').source
    assert '%pip install' in first
    assert 'CHANGE' in first


@pytest.mark.slow
def test_notebook_goes_from_simulated_recordings_to_a_verdict(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv('EPOCHS', '1')
    monkeypatch.setenv('EXAMPLES_PER_EPOCH', '4096')
    monkeypatch.setenv('TMPDIR', str(tmp_path))  # where it works
    executed = copy.deepcopy(notebook)
    nbclient.NotebookClient(
        executed, timeout=300, kernel_name='python3', resources={'metadata': {'path': str(tmp_path)}}
    ).execute()
    (work,) = tmp_path.glob('quickstart-*')
    (cell,) = (pathlib.Path(work) / 'verdicts' / 'cells.csv').read_text().splitlines()[1:]
    assert cell.split(',')[1] in ('SER', 'NSER', 'undecided')
    outputs = [output for cell in executed.cells for output in cell.get('outputs', [])]
    texts = ''.join(output.get('text', '') for output in outputs)
    assert re.search(r'\repoch 1/1 .* input wait', texts), 'the progress of sero-train does not rewrite itself'
    assert 'All of this is of SIMULATED recordings' in texts
    shown = [output.get('data', {}) for output in outputs]
    assert any(cell.split(',')[0] in data.get('text/html', '') for data in shown)
    assert any('image/png' in data for data in shown)
