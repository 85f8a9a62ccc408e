import json
import pathlib

import numpy as np
import pytest

from tests.support.spikes import make_spikes
from trainer.errors import ModelError
from trainer.models.ensemble import build_ensemble, join_members, members_of
from trainer.models.files import save_whole
from trainer.models.model_info import ModelInfo
from trainer.models.scoring import score_split
from trainer.models.trained import TrainedEnsemble, load_ensemble

INFO = ModelInfo(
    source='simulated',
    protocol='by_cell',
    trained_on='original',
    architecture='cnn',
    kernel_sizes=(3, 12),
    members=('k12', 'k3'),
    examples_seen=0,
    train_cells=('A#1',),
)


@pytest.fixture
def workdir(tmp_path) -> pathlib.Path:
    """A run's folder with two untrained members."""
    folder = tmp_path / 'run'
    (folder / 'members').mkdir(parents=True)
    for member in members_of(build_ensemble('cnn', (3, 12), seed=0)):
        save_whole(member, str(folder / 'members' / f'{member.name}.keras'))
    (folder / 'model_info.json').write_text(json.dumps(INFO.to_json()))
    return folder


def error_of(workdir: pathlib.Path) -> str:
    with pytest.raises(ModelError) as raised:
        load_ensemble(str(workdir))
    assert '\n' not in str(raised.value)
    return str(raised.value)


def test_members_and_info_are_loaded(workdir):
    ensemble = load_ensemble(str(workdir))
    assert {member.name for member in members_of(ensemble.model)} == {'k3', 'k12'}
    assert ensemble.info == INFO


def test_scores_are_those_of_the_members_in_stored_order(workdir, make_split):
    count = 1031  # more than one batch
    waveform, label = make_spikes(count)
    cell = np.arange(count) // 10
    split = make_split((count - 3, 3), waveform, label, cell)
    ensemble = load_ensemble(str(workdir))
    scores = score_split(ensemble, split)
    np.testing.assert_array_equal(scores.waveform, waveform)
    np.testing.assert_array_equal(scores.label, label)
    np.testing.assert_array_equal(scores.cell, cell)
    assert scores.scores.shape == (count, 2, 2)
    for position, member in enumerate(members_of(ensemble.model)):
        expected = member.predict(waveform, verbose=0)
        np.testing.assert_allclose(scores.scores[:, position], expected, rtol=1e-4, atol=1e-6)


def test_members_of_both_architectures_may_stand_side_by_side(make_split):
    waveform, label = make_spikes(5)
    members = [*members_of(build_ensemble('cnn', (3,), 0)), *members_of(build_ensemble('published', (4,), 0))]
    ensemble = TrainedEnsemble(join_members(members), INFO)
    assert score_split(ensemble, make_split((5,), waveform, label, label)).scores.shape == (5, 2, 2)


def test_missing_folder_is_named_with_the_command_that_makes_it(tmp_path):
    assert error_of(tmp_path / 'no') == f'{tmp_path}/no: no such folder'


def test_folder_without_a_model_is_named(tmp_path):
    assert error_of(tmp_path) == f'{tmp_path}/model_info.json: no such file; sero-train makes it'


def test_info_that_is_no_json_is_named(workdir):
    (workdir / 'model_info.json').write_text('{')
    assert error_of(workdir).startswith(f'{workdir}/model_info.json: ')


def test_missing_member_is_named(workdir):
    (workdir / 'members' / 'k12.keras').unlink()
    assert error_of(workdir) == f'{workdir}/members/k12.keras: no such file'


@pytest.mark.parametrize('content', [b'', b'not a model', b'PK\x03\x04'])
def test_foreign_file_in_place_of_a_member_is_named(workdir, content):
    (workdir / 'members' / 'k3.keras').write_bytes(content)
    assert error_of(workdir).startswith(f'{workdir}/members/k3.keras: is not a whole .keras file')
