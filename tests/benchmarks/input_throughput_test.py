"""The benchmark runs, and every way delivers the data; how fast anything is, is not asserted."""

import ast
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from benchmarks.inputs.conversions import convert
from benchmarks.inputs.measurement import cpu_seconds, drop_from_page_cache
from benchmarks.inputs.ways import WAYS, Task
from tests.support.commands import error_line, run_command
from tests.support.places import ROOT
from tests.support.recordings import NUM_MASKS

_BATCH = 96  # divides neither the blocks nor the shards


def _run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'benchmarks.input_throughput', *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope='module')
def three_shards(recordings_root, tmp_path_factory):
    """A data directory with `synthetic` in three shards, each a block of 1,024 rows and a rest."""
    folder = tmp_path_factory.mktemp('three_shards')
    result = run_command(
        'sero-build', '--recordings', recordings_root, '--data_dir', folder, '--configs', 'original,synthetic',
        '--num_masks', NUM_MASKS, '--synthetic_examples', '1950,1950', '--max_shard_size_mb', 1,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert [shard.examples for shard in _split(folder).shards] == [1300, 1300, 1300]
    return folder


@pytest.fixture(scope='module')
def converted(three_shards, tmp_path_factory):
    """The same data in the peers' formats, those whose libraries are here."""
    folder = tmp_path_factory.mktemp('converted')
    for way in WAYS.values():
        if way.converted and _installed(way):
            convert(way.converted, _split(three_shards), folder)
    return folder


def _split(data_dir):
    from trainer.data.stored_dataset import open_split

    return open_split(str(data_dir), 'synthetic', 'train')


def _installed(way) -> bool:
    return all(importlib.util.find_spec(library) for library in way.libraries)


def _task(data_dir, converted, shuffled: bool) -> Task:
    return Task(_split(data_dir), str(data_dir), str(converted), _BATCH, shuffled)


def _delivered(batches) -> tuple[np.ndarray, np.ndarray]:
    waveforms, labels = zip(*((np.asarray(waveform), np.asarray(label)) for waveform, label in batches), strict=True)
    assert all(waveform.dtype == np.float32 and len(waveform) <= _BATCH for waveform in waveforms)
    return np.concatenate(waveforms), np.concatenate(labels)


def _rows_of(waveform: np.ndarray, label: np.ndarray) -> list[bytes]:
    return [one.tobytes() + bytes([kind]) for one, kind in zip(waveform, label, strict=True)]


@pytest.fixture(scope='module')
def stored(three_shards) -> list[bytes]:
    rows = []
    for shard in _split(three_shards).shards:
        records = record_layout.view_records(np.fromfile(shard.path, np.uint8))
        rows += _rows_of(records['waveform'], record_layout.decode_varints(records['label']))
    return rows


_READING = [name for name, way in WAYS.items() if 'stored' in way.orders and name != 'bare_read']


@pytest.mark.parametrize('name', _READING)
def test_each_way_delivers_every_example_exactly_once_in_stored_order(name, three_shards, converted, stored):
    if not _installed(WAYS[name]):
        pytest.skip(f'{name} needs {WAYS[name].libraries}')
    delivered = _rows_of(*_delivered(WAYS[name].open(_task(three_shards, converted, shuffled=False))))
    assert sorted(delivered) == sorted(stored)


@pytest.mark.parametrize('name', _READING)
def test_each_way_delivers_shuffled_examples_of_the_data(name, three_shards, converted, stored):
    if not _installed(WAYS[name]):
        pytest.skip(f'{name} needs {WAYS[name].libraries}')
    delivered = _rows_of(*_delivered(WAYS[name].open(_task(three_shards, converted, shuffled=True))))
    assert set(delivered) <= set(stored)
    # Ours ends with the last full batch.
    assert len(stored) - _BATCH < len(delivered) <= len(stored)
    assert len(set(delivered)) == len(set(stored)) or len(delivered) < len(stored)
    assert delivered != stored[: len(delivered)]


def test_bare_read_counts_every_row(three_shards, converted, stored):
    parts = WAYS['bare_read'].open(_task(three_shards, converted, shuffled=False))
    assert sum(len(rows) for _, rows in parts) == len(stored)


def test_cpu_time_of_a_child_that_still_runs_is_counted():
    started = cpu_seconds()
    child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        while cpu_seconds() - started < 0.2 and child.poll() is None:
            pass
        assert cpu_seconds() - started >= 0.2
    finally:
        child.kill()
        child.wait()


def test_dropping_a_file_from_the_page_cache_leaves_its_content(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'content' * 1000)
    drop_from_page_cache([str(path)])
    assert path.read_bytes() == b'content' * 1000


@pytest.mark.slow
def test_the_table_ends_with_a_line_of_json(tmp_path):
    ways = ['block', 'bare_read']
    result = _run(
        '--examples=4096', '--batch_size=512', '--repeats=1', '--seconds=0.1', f'--ways={",".join(ways)}',
        f'--folder={tmp_path}', f'--figure={tmp_path / "rates.png"}',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary['examples'], summary['batch']) == (4096, 512)
    assert list(summary['rates']) == ways and min(summary['rates'].values()) > 0
    assert list(summary['ratios']) == ways[1:]
    assert (tmp_path / 'rates.png').read_bytes().startswith(b'\x89PNG')
    assert [path.name for path in tmp_path.iterdir()] == ['rates.png']


@pytest.mark.slow
def test_with_a_model_the_json_has_the_share_of_waiting(three_shards):
    result = _run(
        f'--data_dir={three_shards}', '--repeats=1', '--ways=online', '--seconds=0.5', '--with_model', '--model=dense',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    assert list(summary['input_wait']) == ['online'] == list(summary['rates'])
    assert 0 < summary['input_wait']['online'] < 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--data_dir=/nowhere'], '/nowhere/sero_spikes/synthetic'),
        (['--ways=block,blok'], "no way 'blok'"),
        (['--with_model', '--ways=grain'], "'grain' cannot feed a model"),
        (['--cold', '--ways=memory'], 'no way is left to measure'),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    assert message in error_line(_run(*arguments))


def test_full_measures_all_ways_whose_libraries_are_here():
    program = (
        'from absl import flags\n'
        'from benchmarks import input_throughput\n'
        'flags.FLAGS(["input_throughput", "--full"])\n'
        'print(input_throughput._chosen_ways()[0])\n'
    )
    result = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ast.literal_eval(result.stdout) == [name for name, way in WAYS.items() if _installed(way)]


def test_a_peer_whose_library_is_missing_is_left_out_with_one_line():
    if _installed(WAYS['webdataset']):
        pytest.skip('webdataset is installed')
    assert 'no way is left to measure: left out: webdataset needs' in error_line(_run('--ways=webdataset'))
