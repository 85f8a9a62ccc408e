"""The Python API of sero-classify, and what a model folder has to hold."""

import concurrent.futures
import contextlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.storage.locks import written_by_one
from tests.support.places import ROOT
from tests.support.recordings import read_abf
from trainer import classify
from trainer.classify import classifier

pytestmark = pytest.mark.slow  # for the run that is trained first


@pytest.fixture(scope='module')
def model(synthetic_run):
    return classify.load(synthetic_run[0])


@pytest.fixture(scope='module')
def current_pa(recordings_root):
    path = sorted((recordings_root / 'non_homogeneous').rglob('*.abf'))[0]
    return read_abf(str(path)).sweeps[0]


def test_importing_loads_neither_tensorflow_nor_beam():
    program = (
        'import sys, trainer.classify, trainer.classify.reading_pool, trainer.classify.command;'
        'print({"tensorflow", "keras", "apache_beam", "sklearn"} & set(sys.modules))'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == 'set()\n', result.stderr


def test_examples_of_the_docs_run(synthetic_run, current_pa, tmp_path, monkeypatch, capsys):
    page = (ROOT / 'docs' / 'classify.md').read_text()
    of_file, of_current = re.findall(r'```python\n([^`]*?classify\.load\(.*?)```', page, re.DOTALL)
    (tmp_path / 'runs').mkdir()
    (tmp_path / 'runs' / 'synthetic').symlink_to(synthetic_run[0])
    np.save(tmp_path / 'current_pa.npy', current_pa)
    write_abf(tmp_path / 'my_recording.abf', current_pa, 40_000)
    monkeypatch.chdir(tmp_path)
    exec(compile(of_file, 'docs/classify.md', 'exec'), {})
    assert re.match(
        r'(SER|NSER|undecided)\n[01]\.\d+\n(.*\n)*The model was trained on SIMULATED', capsys.readouterr().out
    )
    exec(compile(of_current, 'docs/classify.md', 'exec'), {})
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r'(SER|NSER|undecided): 0\.\d\d \[.*\], \d+ spikes|.*: 1\.00 .*', lines[0])
    assert 'clear spikes, the first at' in lines[-1]


def test_verdict_and_spikes_belong_together(model, current_pa):
    call = model.classify(current_pa, 40_000)
    assert call.verdict in ('SER', 'NSER', 'undecided')
    assert 0 <= call.p_ser_low <= call.p_ser <= call.p_ser_high <= 1
    assert call.n_spikes == len(call.spikes.trigger) > 0
    for trigger, waveform in zip(call.spikes.trigger, call.spikes.waveform, strict=True):
        np.testing.assert_array_equal(waveform, current_pa[trigger - 40 : trigger + 120])


def test_a_model_trained_on_simulated_recordings_says_so(model, current_pa):
    assert 'SIMULATED' in model.classify(current_pa, 40_000).warnings[-1]


def test_the_same_cell_has_nearly_the_same_verdict_from_another_rate(model, current_pa):
    at_40, at_20 = model.classify(current_pa, 40_000), model.classify(current_pa[::2], 20_000.0, resample=True)
    assert at_20.n_spikes == pytest.approx(at_40.n_spikes, abs=2)
    assert at_20.udi_ms == pytest.approx(at_40.udi_ms, abs=0.15)
    assert not any('20,000 Hz' in warning for warning in at_40.warnings)
    assert 'This recording was sampled at 20,000 Hz and resampled to 40,000 Hz' in at_20.warnings[0]


@pytest.mark.parametrize(
    ('rate_hz', 'resample', 'reason'),
    [(20_000, False, 'wrong_rate'), (5_000, True, 'wrong_rate'), (float('nan'), True, 'wrong_rate')],
)
def test_a_rate_that_is_no_use_is_rejected(model, current_pa, rate_hz, resample, reason):
    with pytest.raises(RecordingRejected, match=reason):
        model.classify(current_pa, rate_hz, resample)


def test_a_current_without_spikes_is_rejected(model):
    with pytest.raises(RecordingRejected, match='no_spikes: 0 triggers at -50 pA in 1.0 s'):
        model.classify(np.zeros(40_000), 40_000)


def test_a_current_that_is_not_finite_is_rejected(model, current_pa):
    with pytest.raises(RecordingRejected, match='not_finite'):
        model.classify(np.append(current_pa, np.nan), 40_000)


@pytest.mark.parametrize('current_pa', [np.zeros((2, 100)), np.zeros(0), np.array(['1', '2']), np.zeros(9, complex)])
def test_what_is_no_row_of_numbers_is_an_error(model, current_pa):
    with pytest.raises(ValueError, match='current_pa: expected'):
        model.classify(current_pa, 40_000)


@pytest.mark.parametrize('begins', ['before', 'meanwhile'])
def test_a_run_that_is_being_trained_is_not_loaded(synthetic_run, tmp_path, monkeypatch, begins):
    run = shutil.copytree(synthetic_run[0], tmp_path / 'run', ignore=shutil.ignore_patterns('checkpoints'))
    load_classifier = classifier.load_classifier
    with contextlib.ExitStack() as training, concurrent.futures.ThreadPoolExecutor(1) as pool:

        def begin_training() -> None:
            pool.submit(training.enter_context, written_by_one(run, 'wait')).result()

        def load_while_it_begins(folder):
            begin_training()
            return load_classifier(folder)

        if begins == 'before':
            begin_training()
        else:
            monkeypatch.setattr(classifier, 'load_classifier', load_while_it_begins)
        with pytest.raises(UserError) as raised:
            classify.load(run)
        pool.submit(training.close).result()
    assert str(raised.value) == f'{run}: another command is writing there; wait until the training has ended'


def _unfinished(run):
    info = json.loads((run / 'model_info.json').read_text())
    (run / 'model_info.json').write_text(json.dumps(info | {'finished': False}))


@pytest.mark.parametrize(
    ('break_run', 'message'),
    [
        (_unfinished, 'model_info.json: the training was interrupted; sero-train goes on with it'),
        (lambda run: (run / 'calibration.json').unlink(), 'calibration.json: is missing, manifest.json names it'),
        (lambda run: (run / 'training_range.npz').write_bytes(b'PK'), 'training_range.npz: '),
        (lambda run: (run / 'members' / 'k5.keras').write_bytes(b''), 'k5.keras: is not the file that this run'),
        (lambda run: (run / 'model_info.json').write_text('[]'), 'model_info.json: Expected `object`, got `array`'),
        (lambda run: (run / 'model_info.json').unlink(), 'model_info.json: no such file'),
    ],
)
def test_a_folder_that_is_no_finished_run_is_one_line(break_run, message, synthetic_run, tmp_path):
    from trainer.classify import load

    run = shutil.copytree(synthetic_run[0], tmp_path / 'run', ignore=shutil.ignore_patterns('checkpoints'))
    break_run(run)
    with pytest.raises(UserError) as raised:
        load(str(run))
    assert str(raised.value).startswith(f'{run}/') and message in str(raised.value)
    assert '\n' not in str(raised.value)
