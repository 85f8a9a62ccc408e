"""A short run of all targets but those of recordings, and what makes an execution a finding."""

import json
import os
import pathlib
import signal
import time

import pytest

from beam_pipelines.errors import UserError
from tests.fuzz import child, recordings, run
from tests.fuzz.child import random_numbers
from tests.fuzz.guard import Guard
from tests.fuzz.target import Target, outcome_of
from tests.fuzz.targets import TARGETS

_OF_RECORDINGS = {target.name for target in recordings.TARGETS}
# Some read a whole dataset or build a network in each execution.
_FEWER = {'checkpoint': 2, 'k4.keras': 15, 'ModConvBinNormN4.keras': 15, 'config_fields': 40}
_OF_DATASET = ('a_shard', 'spike_bank.tfrecord', 'noise_masks.npy', 'metadata.json', 'checksums.json', 'labels.txt')


def _executions(name: str) -> int:
    return _FEWER.get(name, 20 if name.endswith(_OF_DATASET) else 60)


@pytest.mark.parametrize('name', [name for name in TARGETS if name not in _OF_RECORDINGS])
def test_changed_files_end_in_a_result_or_one_line(name, tmp_path):
    own = tmp_path / 'own'
    own.mkdir()
    execute, guard = TARGETS[name].prepare(own), Guard(own)
    for number in range(_executions(name)):
        child.run(1, name, number, execute, guard)


@pytest.fixture
def guard(tmp_path):
    (tmp_path / 'own').mkdir()
    (tmp_path / 'outside').write_text('{}')
    guard = Guard(tmp_path / 'own')
    yield guard
    guard.watching = False


def _run(do, guard) -> str:
    return child.run(0, 'x', 0, lambda chance: do() or 'used', guard)


@pytest.mark.parametrize(
    'do',
    [
        lambda folder: (folder.parent / 'outside').read_text(),
        lambda folder: (folder / '..' / 'outside').write_text(''),
        lambda folder: open('/dev/zero').close(),
        lambda folder: (folder.parent / 'outside').rename(folder.parent / 'moved'),
        lambda folder: os.mkdir(folder.parent / 'new'),
        lambda folder: os.system('true'),
    ],
)
def test_what_a_reader_must_never_do_is_a_finding(do, guard, tmp_path):
    with pytest.raises(AssertionError, match=r'open|os\.'):
        _run(lambda: do(tmp_path / 'own') and None, guard)


def test_what_a_reader_may_do_is_none(guard, tmp_path):
    assert _run(lambda: (tmp_path / 'own' / 'x').write_text('x') and None, guard) == 'used'


@pytest.mark.parametrize(
    ('message', 'finding'),
    [
        ('{folder}/x: a\x85b', 'several lines'),
        ('x: is wrong', 'names no file'),
        ('{folder}/x: cannot allocate 9 GB', 'allocate'),
    ],
)
def test_an_error_that_is_not_one_line_about_the_file_is_a_finding(message, finding, tmp_path):
    error = UserError('')
    error.args = (message.format(folder=tmp_path),)

    def read():
        raise error

    with pytest.raises(AssertionError, match=finding):
        outcome_of(read, tmp_path)


def _dies(chance):
    if chance.random() < 1 / 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return 'used'


def _takes_memory(chance):
    return str(len(bytearray(3 << 30)))


def _takes_long(chance):
    time.sleep(20)
    return 'used'


@pytest.mark.parametrize(
    ('execute', 'kind'), [(_dies, 'SIGKILL'), (_takes_memory, 'MemoryError'), (_takes_long, 'SIGALRM')]
)
def test_an_execution_that_dies_or_takes_too_much_is_a_finding_and_the_next_follows(execute, kind, monkeypatch):
    monkeypatch.setattr(child, '_MOST_SECONDS', 1)
    monkeypatch.setitem(TARGETS, 'x', Target('x', lambda folder: execute))
    counts = run.fuzz('x', 0, 5 if execute is _takes_long else 1.5)
    assert counts.executions >= 2
    assert [kind in found for found in counts.findings] == [True]


def test_an_execution_depends_on_seed_target_and_number_alone():
    first, again, other = (random_numbers(seed, 'x', 5).random() for seed in (3, 3, 4))
    assert first == again != other
    assert random_numbers(3, 'x', 5).random() != random_numbers(3, 'y', 5).random()


def test_a_finding_is_repeated_with_its_files(monkeypatch, tmp_path, capsys):
    def prepare(folder: pathlib.Path):
        def execute(chance):
            (folder / 'x.json').write_text(json.dumps(chance.random()))
            return 'used'

        return execute

    monkeypatch.setitem(TARGETS, 'x', Target('x', prepare))
    run.repeat('x', 3, 5, tmp_path)
    assert json.loads((tmp_path / 'x-3-5' / 'own' / 'x.json').read_text()) == random_numbers(3, 'x', 5).random()
    assert capsys.readouterr().out == 'used\n'
