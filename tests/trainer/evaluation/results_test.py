import pytest

from trainer.evaluation.results import ModelResult, name_by_run
from trainer.models.model_info import ModelInfo


def model(trained_on: str, **fields) -> ModelResult:
    info = ModelInfo(
        source='recorded',
        protocol='by_cell',
        trained_on=trained_on,
        architecture='cnn',
        kernel_sizes=(3,),
        members=('k3',),
        train_cells=(),
        **{'examples_seen': 960} | fields,
    )
    return ModelResult(f'trained on {trained_on}', info, {})


@pytest.mark.parametrize(
    ('trained_on', 'folders', 'titles'),
    [
        (('synthetic', 'original'), ('runs/a', 'runs/b'), ['trained on synthetic', 'trained on original']),
        (('original', 'original'), ('runs/a/', 'runs/b'), ['trained on original, a', 'trained on original, b']),
        (('original', 'original'), ('a/run', 'b/run'), ['trained on original, a/run', 'trained on original, b/run']),
        (('original',), ('runs/a',), ['trained on original']),
    ],
)
def test_two_models_of_one_config_are_named_by_their_runs(trained_on, folders, titles):
    assert [named.title for named in name_by_run([model(of) for of in trained_on], folders)] == titles


def test_examples_seen_are_those_up_to_the_latest_epoch_that_was_kept():
    config = {'batch_size': 32, 'examples_per_epoch': 100}
    kept = model('original', best_epoch={'k3': 2, 'k4': 4}, config=config).info
    assert kept.examples_of_kept_epochs == 4 * 96
    assert model('original').info.examples_of_kept_epochs == 960
    assert model('original', examples_seen=None).info.examples_of_kept_epochs is None
