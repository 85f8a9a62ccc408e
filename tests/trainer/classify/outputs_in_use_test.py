"""Outputs that cannot be written: another program has one open, as Excel does on Windows, or the disk is full."""

import contextlib
import json
import os
import pathlib
import signal
import types
from collections.abc import Callable

import h5py
import pytest

from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.recordings.sources import SIMULATED
from tests.support.classified_cells import make_cell
from tests.support.full_disk import full_disk
from tests.support.places import ROOT
from trainer.classify import watch
from trainer.classify.batch import Findings
from trainer.classify.measured_cell import read_measured_cells
from trainer.classify.nwb_export import export_nwb
from trainer.classify.outputs import OutputInUse, make_folder, write_outputs
from trainer.evaluation import calibration, training_range

MODEL = ROOT / 'tests' / 'integration' / 'frozen' / 'finished'


@pytest.fixture
def classifier():
    """What the outputs say about a model; it has no networks."""
    found = calibration.load(MODEL)
    info = json.loads((MODEL / 'model_info.json').read_text())
    return types.SimpleNamespace(
        description=info | {'title': 'model', 'calibration': {'method': found.method}, 'undecided_rule': ''},
        info=types.SimpleNamespace(title='model'),
        calibration=found,
        training_range=training_range.load(MODEL),
        source=SIMULATED,
    )


@pytest.fixture
def in_use(monkeypatch) -> set[pathlib.Path]:
    """Files that cannot be moved nor replaced, as on Windows while they are open; nor can a folder that holds one."""
    opened: set[pathlib.Path] = set()

    def denied_if_in_use(move):
        def moved(source, target):
            if any(path.is_relative_to(place) for path in opened for place in (source, target)):
                raise PermissionError(13, 'Permission denied', str(source), None, str(target))
            move(source, target)

        return moved

    for name in ('rename', 'replace'):
        monkeypatch.setattr(os, name, denied_if_in_use(getattr(os, name)))
    return opened


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('name', ['cells.csv', 'report.html', 'nwb/a.nwb', 'phy/cluster_sero.tsv'])
def test_if_one_output_is_in_use_all_stay_as_they_were(name, classifier, in_use, tmp_path):
    write_outputs(tmp_path, Findings(), classifier, ['nwb', 'phy'])
    (tmp_path / 'nwb').mkdir()
    with h5py.File(tmp_path / 'nwb' / 'a.nwb', 'w') as file:
        file.create_dataset('general/source_script', data='').attrs['file_name'] = 'sero-classify'
    before = contents(tmp_path)
    in_use.add(tmp_path / name)
    found = Findings(rejected=[RejectedFile('a.abf', 'truncated', 'cut off')])
    with pytest.raises(OutputInUse, match=f'{name}: cannot be replaced'):
        write_outputs(tmp_path, found, classifier, ['phy'])
    assert contents(tmp_path) == before
    in_use.clear()
    write_outputs(tmp_path, found, classifier, ['phy'])
    assert sorted(contents(tmp_path)) == [
        'cells.csv', 'phy/cluster_sero.tsv', 'rejected.jsonl', 'report.html', 'spikes.csv'
    ]  # fmt: skip
    assert b'truncated' in contents(tmp_path)['rejected.jsonl']


def test_an_output_in_use_is_said_before_the_work(in_use, tmp_path):
    with make_folder(tmp_path):
        pass
    (tmp_path / 'cells.csv').write_text('of an earlier run')
    in_use.add(tmp_path / 'cells.csv')
    with pytest.raises(OutputInUse, match='close it in other programs'), make_folder(tmp_path):
        pass


def at_looks(monkeypatch, actions: dict[int, Callable[[], object]]) -> Callable[..., None]:
    """Returns what watches a folder for six looks, with an action after some of them, and then is interrupted."""
    looks = iter(range(6))

    def look_again(seconds):
        look = next(looks)
        actions.get(look, lambda: None)()
        if look == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(watch, '_BROKEN_S', 0)
    monkeypatch.setattr(watch.time, 'sleep', look_again)

    def read(files, options):
        return (read_measured_cells(each, options or ReadingOptions()) for each in files)

    pool = types.SimpleNamespace(read=read)
    return lambda classifier, watched, folder: watch.watch(classifier, pool, str(watched), folder, [])


@pytest.mark.parametrize('is_closed', [True, False])
def test_watching_goes_on_while_an_output_is_in_use(is_closed, classifier, in_use, tmp_path, monkeypatch, capsys):
    watched, folder = tmp_path / 'today', tmp_path / 'verdicts'
    watched.mkdir()
    folder.mkdir()
    (watched / 'a.abf').write_bytes(b'no recording')

    def close():
        if is_closed:
            assert 'not_abf' not in (folder / 'rejected.jsonl').read_text()
            in_use.clear()

    watch_for_six_looks = at_looks(monkeypatch, {0: lambda: in_use.add(folder / 'cells.csv'), 3: close})
    if is_closed:
        watch_for_six_looks(classifier, watched, folder)
        assert 'not_abf' in (folder / 'rejected.jsonl').read_text()
    else:
        with pytest.raises(OutputInUse):
            watch_for_six_looks(classifier, watched, folder)
    said = capsys.readouterr()
    assert said.err.count('cells.csv: cannot be replaced') == 1
    assert 'a.abf  rejected, not_abf' in said.out and f'report: {folder / "report.html"}' in said.out


@pytest.mark.parametrize('exports', [[], ['nwb'], ['phy']])
def test_a_full_disk_is_one_error_with_the_file_and_leaves_the_earlier_outputs(exports, classifier, tmp_path):
    write_outputs(tmp_path, Findings(), classifier, exports)
    before = contents(tmp_path)
    findings = Findings({'A#1': make_cell('A#1', 'A#1.abf')})
    with full_disk(), pytest.raises(OSError, match='File too large') as raised:
        write_outputs(tmp_path, findings, classifier, exports)
    assert raised.value.filename == str(tmp_path / 'cells.csv')
    assert contents(tmp_path) == before


def test_a_full_disk_while_nwb_is_written_names_the_file(tmp_path):
    with full_disk(), pytest.raises(OSError, match='File too large') as raised:
        export_nwb(tmp_path, [make_cell('A#1', 'A#1.abf')], {'calibration': {'method': 'none'}})
    assert raised.value.filename == str(tmp_path / 'A#1.nwb')
    assert not list(tmp_path.iterdir())


def test_watching_goes_on_while_the_disk_is_full(classifier, tmp_path, monkeypatch, capsys):
    watched, folder = tmp_path / 'today', tmp_path / 'verdicts'
    watched.mkdir()
    folder.mkdir()
    (watched / 'a.abf').write_bytes(b'no recording')
    disk = contextlib.ExitStack()

    def free():
        disk.close()
        assert 'not_abf' not in (folder / 'rejected.jsonl').read_text()

    watch_for_six_looks = at_looks(monkeypatch, {0: lambda: disk.enter_context(full_disk()), 3: free})
    with disk:
        watch_for_six_looks(classifier, watched, folder)
    assert 'not_abf' in (folder / 'rejected.jsonl').read_text()
    warning = capsys.readouterr().err
    assert warning.count('File too large') == 1
    assert f'{folder}/cells.csv: File too large; the outputs are written as soon as possible' in warning
