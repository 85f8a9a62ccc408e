"""sero-classify as a user runs it, on real files."""

import contextlib
import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from beam_pipelines.recordings.rejection import REASONS
from tests.support.commands import error_line, run_command, run_installed
from tests.support.places import SHARED
from tests.support.recordings import copy_without_stamp, write_spike_csv
from tests.support.requirements import needs_shared
from tests.support.spikes import as_cut

pytestmark = pytest.mark.slow

MARKUP = '<img src=x onerror=alert(1)>'


def classify(model, output_dir, *arguments):
    return run_command('sero-classify', '--model', model, '--output_dir', output_dir, *arguments)


def start(*arguments) -> subprocess.Popen:
    """Starts the command in a process group of its own, as a terminal does."""
    command = pathlib.Path(sys.executable).parent / 'sero-classify'
    return subprocess.Popen(
        [command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows(path) -> list[dict[str, str]]:
    """Returns the rows of a table; --watch takes it away for a moment before it puts a new one there."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError), open(path, newline='') as file:
            return list(csv.DictReader(file))
        time.sleep(0.1)
    raise AssertionError(f'{path} never came')


def rejected(folder) -> dict[str, str]:
    """Returns the reason of each rejected file by its name."""
    lines = (folder / 'rejected.jsonl').read_text().splitlines()
    return {pathlib.Path(file['path']).name: file['reason'] for file in map(json.loads, lines)}


def recordings(root, recording_set='non_homogeneous') -> list[pathlib.Path]:
    return sorted((root / recording_set).rglob('*.abf'))


@pytest.fixture(scope='module')
def classified(synthetic_run, recordings_root, tmp_path_factory):
    """The folder of recordings, that of the verdicts and what the command said: good files and bad ones."""
    folder = tmp_path_factory.mktemp('new')
    first, second, third, *_ = recordings(recordings_root)
    shutil.copy(first, folder / first.name)
    shutil.copy(second, folder / f'{MARKUP}.abf')
    (folder / 'again').mkdir()
    shutil.copy(first, folder / 'again' / first.name)
    (folder / 'cut_off.abf').write_bytes(third.read_bytes()[:50_000])
    (folder / 'notes.txt').write_text('cell 3 died')
    time_ms = (np.arange(160) - 40) / 40
    (spike,) = as_cut(-90 * np.exp(-0.5 * (time_ms[np.newaxis] / 0.1) ** 2))
    for trigger in (1000, 9000, 17_000, 25_000, 33_000, 41_000):
        write_spike_csv(folder / 'A140313#073', trigger, spike)
    (folder / 'A140313#073' / 'A140313#073_trigger_5.csv').write_text('time,current\n')
    result = run_installed(
        'sero-classify', '--model', synthetic_run[0], '--output_dir', folder / 'verdicts', '--export', 'nwb,phy', folder
    )
    return folder, folder / 'verdicts', result


def test_cells_have_the_columns_of_the_contract_and_no_label(classified):
    path = classified[1] / 'cells.csv'
    of_contract = 'cell,verdict,p_ser,p_ser_low,p_ser_high,n_spikes,udi_ms,label,warnings'
    assert path.read_text().splitlines()[0] == f'{of_contract},source'
    assert all(row['label'] == '' for row in rows(path))


def test_every_usable_file_has_a_verdict_and_every_other_a_reason(classified):
    folder, verdicts, result = classified
    cells = {row['cell'] for row in rows(verdicts / 'cells.csv')}
    assert len(cells) == 3 and {MARKUP, 'A140313#073'} < cells
    (duplicate,) = {path.name for path in (folder / 'again').iterdir()}
    assert rejected(verdicts) == {
        duplicate: 'duplicate_cell',
        'cut_off.abf': 'truncated',
        'notes.txt': 'unknown_format',
        'A140313#073_trigger_5.csv': 'bad_csv',
    }
    assert '12 files = 8 used + 4 rejected;' in result.stdout


def test_rejected_files_are_status_1_and_one_line(classified):
    _, verdicts, result = classified
    assert result.returncode == 1
    assert error_line(result) == (
        f'sero-classify: 4 files rejected, see {verdicts}/rejected.jsonl; the verdicts are on the others'
    )


def test_spikes_have_a_row_a_spike_in_order_of_time(classified, recordings_root):
    spikes = rows(classified[1] / 'spikes.csv')
    assert list(spikes[0]) == ['cell', 'trigger', 'time_s', 'p_ser', 'amplitude_pa', 'udi_ms', 'snr', 'source']
    truth = json.loads((recordings_root / 'SIMULATED.json').read_text())['recordings']
    for cell in rows(classified[1] / 'cells.csv'):
        of_cell = [row for row in spikes if row['cell'] == cell['cell']]
        triggers = [int(row['trigger']) for row in of_cell]
        assert len(of_cell) == int(cell['n_spikes'])
        assert triggers == sorted(triggers)
        assert all(float(row['time_s']) == pytest.approx(int(row['trigger']) / 40_000) for row in of_cell)
        for simulated in truth:
            if simulated['cell'] == cell['cell']:
                assert set(triggers) <= set(simulated['spike_samples'])
                amplitude = np.median([float(row['amplitude_pa']) for row in of_cell])
                assert amplitude == pytest.approx(simulated['amplitude_pa'], rel=0.1)
                udi = np.median([float(row['udi_ms']) for row in of_cell if row['udi_ms']])
                assert udi == pytest.approx(simulated['udi_ms'], abs=0.2)


def test_simulated_recordings_and_models_are_stamped(classified):
    _, verdicts, result = classified
    assert '2 of the recordings are SIMULATED' in result.stdout
    assert 'The model was trained on SIMULATED recordings' in result.stdout
    assert 'simulated' in (verdicts / 'report.html').read_text().lower()
    for table in ('cells.csv', 'spikes.csv'):
        assert {row['source'] for row in rows(verdicts / table)} == {'simulated'}
    header, *lines = (verdicts / 'phy' / 'cluster_sero.tsv').read_text().splitlines()
    assert header.endswith('\tsource') and all(line.endswith('\tsimulated') for line in lines)


def test_exports_are_beside_the_verdicts(classified):
    verdicts = classified[1]
    assert len(list((verdicts / 'nwb').glob('*.nwb'))) == 3
    assert len((verdicts / 'phy' / 'cluster_sero.tsv').read_text().splitlines()) == 4


def test_a_second_run_replaces_the_first_and_leaves_nothing_of_it(classified, synthetic_run, tmp_path):
    folder, verdicts, _ = classified
    again = shutil.copytree(verdicts, tmp_path / 'verdicts')
    (again / 'my_notes.txt').write_text('keep')
    (path,) = folder.glob('SIM*.abf')
    result = classify(synthetic_run[0], again, path)
    assert (result.returncode, result.stderr) == (0, '')
    names = {entry.name for entry in again.iterdir()}
    assert names == {'cells.csv', 'spikes.csv', 'rejected.jsonl', 'report.html', 'my_notes.txt'}
    assert (again / 'rejected.jsonl').read_text() == ''
    # A recording has the same verdict alone as among others.
    alone, together = rows(again / 'cells.csv'), rows(verdicts / 'cells.csv')
    assert alone == [row for row in together if row['cell'] == path.stem]


@needs_shared
def test_every_real_file_ends_as_a_verdict_with_a_warning_or_as_a_rejection(synthetic_run, tmp_path):
    folder = SHARED / 'data' / 'abf'
    result = classify(synthetic_run[0], tmp_path / 'out', '--resample', '--allow_rejected', folder)
    assert result.returncode == 0, result.stderr
    cells, reasons = rows(tmp_path / 'out' / 'cells.csv'), rejected(tmp_path / 'out')
    names = {f'{row["cell"]}.abf' for row in cells}
    assert cells and names.isdisjoint(reasons)
    assert names | set(reasons) == {path.name for path in folder.iterdir()}
    assert set(reasons.values()) <= set(REASONS)
    lines = result.stdout.splitlines()
    for row in cells:
        (number,) = [number for number, line in enumerate(lines) if line.startswith(f'{row["cell"]} ')]
        assert lines[number + 1].startswith('    ')  # a warning
    for name, reason in reasons.items():
        assert any(line.startswith(f'{name}  rejected, {reason}: ') for line in lines)


def test_an_interrupted_training_is_one_line(synthetic_run, recordings_root, tmp_path):
    run = shutil.copytree(synthetic_run[0], tmp_path / 'run', ignore=shutil.ignore_patterns('checkpoints'))
    info = json.loads((run / 'model_info.json').read_text())
    (run / 'model_info.json').write_text(json.dumps(info | {'finished': False}))
    line = error_line(classify(run, tmp_path / 'out', recordings(recordings_root)[0]))
    assert line == (f'sero-classify: {run}/model_info.json: the training was interrupted; sero-train goes on with it')
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['missing.abf'], 'sero-classify: missing.abf: no such file or folder'),
        ([], 'sero-classify: give files or folders to classify, or one folder to --watch'),
        (['--watch', '.', '.'], 'sero-classify: give files or folders to classify, or one folder to --watch'),
        (['--watch', 'missing'], 'sero-classify: missing: no such folder'),
        (['--watch=', '.'], 'sero-classify: --watch=: names no folder'),
        (['--export', 'mat', '.'], 'sero-classify: --export=mat: expected some of nwb, phy'),
    ],
)
def test_mistakes_are_named_before_any_work(arguments, message, tmp_path):
    assert error_line(classify(tmp_path / 'no_model', tmp_path / 'out', *arguments)) == message
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['day'], "cell 'A140313#7': phy has no cluster 7 here"),
        (['--watch', 'day'], 'is a folder of phy; --watch cannot write there, so choose another --output_dir'),
    ],
)
def test_what_phy_would_refuse_is_named_before_any_work(arguments, message, recordings_root, tmp_path):
    (tmp_path / 'day').mkdir()
    shutil.copy(recordings(recordings_root)[0], tmp_path / 'day' / 'A140313#7.abf')
    phy = tmp_path / 'out' / 'phy'
    phy.mkdir(parents=True)
    np.save(phy / 'spike_clusters.npy', np.array([5, 17]))
    paths = [tmp_path / argument if argument == 'day' else argument for argument in arguments]
    line = error_line(classify(tmp_path / 'no_model', tmp_path / 'out', '--export', 'phy', *paths))
    assert line == f'sero-classify: {phy}: {message}'
    assert [path.name for path in (tmp_path / 'out').rglob('*')] == ['phy', 'spike_clusters.npy']


@pytest.mark.parametrize('scale', ['0', 'nan', 'inf'])
def test_a_scale_that_cannot_be_is_named(scale, synthetic_run, recordings_root, tmp_path):
    line = error_line(classify(synthetic_run[0], tmp_path / 'out', f'--scale={scale}', recordings(recordings_root)[0]))
    assert line == f'sero-classify: --scale={scale}: expected a factor, such as 1000'
    assert not (tmp_path / 'out' / 'cells.csv').exists()


def test_an_output_folder_that_cannot_be_written_is_named(recordings_root, tmp_path):
    (tmp_path / 'file').write_text('')
    line = error_line(classify(tmp_path / 'no_model', tmp_path / 'file' / 'out', recordings(recordings_root)[0]))
    assert str(tmp_path / 'file' / 'out') in line


def processes_of(group: int) -> list[int]:
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getpgid(int(entry.name)) == group and 'State:\tZ' not in (entry / 'status').read_text():
                found.append(int(entry.name))
    return found


def wait_until(holds, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, 'it never came to that'
        time.sleep(0.1)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_neither_outputs_nor_processes(number, synthetic_run, recordings_root, tmp_path):
    process = start('--model', synthetic_run[0], '--output_dir', tmp_path / 'out', recordings_root)
    wait_until(lambda: len(processes_of(process.pid)) >= 3)  # the readers are there
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert (process.returncode, errors) == (130, '\nsero-classify: interrupted\n')
    wait_until(lambda: not processes_of(process.pid))
    # A lock file stays where its process was killed; nothing holds it.
    assert {path.name for path in (tmp_path / 'out').iterdir()} <= {'.sero.lock'}


def test_recordings_are_classified_as_the_acquisition_program_closes_them(synthetic_run, recordings_root, tmp_path):
    first, second, third, *_ = recordings(copy_without_stamp(recordings_root, tmp_path / 'copied'))
    watched = tmp_path / 'today'
    watched.mkdir()
    content = second.read_bytes()
    growing = watched / second.name
    growing.write_bytes(content[:10_000])
    shutil.copy(first, watched)
    process = start('--model', synthetic_run[0], '--output_dir', watched / 'out', '--watch', watched)
    lines = []
    try:
        cells = watched / 'out' / 'cells.csv'
        wait_until(cells.exists)
        # Written in pieces, with a pause that is longer than a whole file has to be left alone.
        for end in range(50_000, len(content) + 90_000, 90_000):
            with open(growing, 'ab') as file:
                file.write(content[growing.stat().st_size : end])
            time.sleep(0.5 if end != 140_000 else 5)
            assert second.stem not in {row['cell'] for row in rows(cells)} or growing.stat().st_size == len(content)
        wait_until(lambda: {row['cell'] for row in rows(cells)} == {first.stem, second.stem})
        (watched / 'half.abf').write_bytes(third.read_bytes()[:10_000])
        time.sleep(1)
        assert rejected(watched / 'out') == {}
    finally:
        os.killpg(process.pid, signal.SIGINT)
        lines, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    verdicts = [line.split()[0] for line in lines.splitlines() if 'p(SER)' in line]
    assert verdicts == [first.stem, second.stem]
    assert f'{watched}/half.abf: was still being written and has no verdict' in lines
    assert '2 files = 2 used + 0 rejected' in lines
    spikes = [row for row in rows(watched / 'out' / 'spikes.csv') if row['cell'] == second.stem]
    assert float(spikes[-1]['time_s']) > 4  # of 5 s: the whole file was read


def test_hostile_files_and_names_leave_the_others_their_verdicts(synthetic_run, recordings_root, tmp_path):
    folder = tmp_path / 'new'
    folder.mkdir()
    first, second, *_ = recordings(recordings_root)
    formula, escape = '=1+1#1', 'a\x1b[2J#1'
    shutil.copy(first, folder / f'{formula}.abf')
    shutil.copy(second, folder / f'{escape}.abf')
    units = bytearray(second.read_bytes())
    units[602:610] = b'\x1b[2J\nSER'
    (folder / 'units.abf').write_bytes(units)
    os.mkfifo(folder / 'pipe.abf')
    os.symlink('/dev/zero', folder / 'zero.csv')
    os.symlink(f'{formula}.abf', folder / 'link.abf')
    for name in 'ab':
        os.symlink('.', folder / name)
    result = classify(synthetic_run[0], tmp_path / 'verdicts', '--export', 'phy', folder)
    assert result.returncode == 1
    (row,) = rows(tmp_path / 'verdicts' / 'cells.csv')
    assert row['cell'] == f"'{formula}"
    assert {row['cell'] for row in rows(tmp_path / 'verdicts' / 'spikes.csv')} == {f"'{formula}"}
    assert f"\t'{formula}\t" in (tmp_path / 'verdicts' / 'phy' / 'cluster_sero.tsv').read_text()
    assert rejected(tmp_path / 'verdicts') == {
        f'{escape}.abf': 'bad_name',
        'units.abf': 'wrong_unit',
        'pipe.abf': 'not_a_file',
        'zero.csv': 'not_a_file',
        'link.abf': 'duplicate_file',
    }
    for line in (result.stdout + result.stderr).splitlines():
        assert line.isprintable(), line
