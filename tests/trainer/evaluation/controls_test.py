import math

import numpy as np
import pytest

from trainer.evaluation import controls
from trainer.evaluation.controls import call_cells, compare_with_noise, describe_cells, score_controls
from trainer.evaluation.results import CellResult, ControlResult

# Two days of each class are trained on. A day has a noise of its own; a spike has a shape, and here that tells nothing.
CLASS_OF_DAY = {'D1': 0, 'D2': 0, 'D3': 1, 'D4': 1}
TONE_OF_DAY = {'D1': 0.05, 'D2': 0.12, 'D3': 0.2, 'D4': 0.3, 'E1': 0.2, 'E2': 0.05}  # cycles a sample


def make_cells(class_of_cell: dict[str, int], spikes: int = 30, seed: int = 0) -> controls.DescribedCells:
    """Cells ``DAY#NUMBER`` of a class, with the noise of their day."""
    rng = np.random.default_rng(seed)
    names = tuple(class_of_cell)
    cell = np.repeat(np.arange(len(names)), spikes)
    tone = np.array([TONE_OF_DAY[name.partition('#')[0]] for name in names])[cell, np.newaxis]
    phase = rng.uniform(0, 2 * np.pi, (len(cell), 1))
    waveform = 4 * np.cos(2 * np.pi * tone * np.arange(160) + phase) + rng.normal(0, 1, (len(cell), 160))
    waveform[:, 40:50] -= 80
    return describe_cells(waveform.astype(np.float32), np.array(list(class_of_cell.values()))[cell], cell, names)


TRAIN = make_cells({f'{day}#{number}': label for day, label in CLASS_OF_DAY.items() for number in range(5)})
# Cells of days that were trained on, one of them of the other class than its day; and cells of new days.
SAME_DAYS = {'D1#8': 0, 'D1#9': 1, 'D3#8': 1, 'D4#8': 1}
NEW_DAYS = {'E1#1': 0, 'E1#2': 1, 'E2#1': 0, 'E2#2': 1}


def calls(name: str, tested: dict[str, int]) -> list[int]:
    [p_ser] = call_cells(TRAIN, make_cells(tested, seed=1))[name]
    return (p_ser < 0.5).astype(int).tolist()


def test_the_day_calls_its_majority_and_on_a_new_day_that_of_all():
    assert calls('day_only', SAME_DAYS) == [0, 0, 1, 1]
    few_ser = make_cells({'D1#1': 0, 'D3#2': 1, 'D3#3': 1})
    for day_pattern, expected in ((None, [1, 1]), ('#([0-9])', [0, 1])):
        [p_ser] = call_cells(few_ser, make_cells({'E1#1': 0, 'E2#2': 0}), day_pattern)['day_only']
        assert (p_ser < 0.5).astype(int).tolist() == expected


def test_noise_alone_recognises_the_day_and_carries_its_class_to_another_day_with_the_same_noise():
    assert calls('noise_alone', SAME_DAYS) == [0, 0, 1, 1]
    assert calls('noise_alone', NEW_DAYS) == [1, 1, 0, 0]  # E1 sounds like D3, E2 like D1


def test_noise_alone_sees_nothing_of_the_spike():
    tested = make_cells(SAME_DAYS)
    rng = np.random.default_rng(2)
    waveform = rng.normal(0, 1, (50, 160)).astype(np.float32)
    other = waveform.copy()
    other[:, controls.NOISE_SAMPLES :] *= 100
    other += 7  # nor of the level before it
    cell = np.zeros(50, int)
    described = [describe_cells(these, cell, cell, ['D1#1']) for these in (waveform, other)]
    np.testing.assert_allclose(described[0].noise, described[1].noise, rtol=1e-3)
    assert tested.noise.shape == (4, 12)


def test_shuffled_labels_tell_nothing_and_are_the_same_again():
    tested = make_cells({f'{day}#{number}': label for day, label in CLASS_OF_DAY.items() for number in range(10, 20)})
    p_ser = call_cells(TRAIN, tested)
    found = score_controls(p_ser, tested)
    shuffle = found['label_shuffle'].metrics['cell']
    assert shuffle['accuracy'] == pytest.approx(0.5, abs=0.05)
    assert shuffle['accuracy_low'] < 0.4 and shuffle['accuracy_high'] > 0.6 and shuffle['repetitions'] == 100
    assert found['noise_alone'].metrics['cell']['accuracy'] == 1.0
    np.testing.assert_array_equal(call_cells(TRAIN, tested)['label_shuffle'], p_ser['label_shuffle'])


def test_scores_are_of_cells_and_of_their_spikes():
    tested = describe_cells(
        np.zeros((4, 160), np.float32), np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1]), ('D1#1', 'D1#2')
    )
    found = score_controls(call_cells(TRAIN, tested), tested)['day_only']
    assert found.metrics['cell']['accuracy'] == 0.5 and found.metrics['cell']['n'] == 2
    assert found.metrics['spike']['accuracy'] == 0.75 and found.metrics['spike']['n'] == 4
    assert (found.metrics['cell']['sensitivity'], found.metrics['cell']['specificity']) == (1.0, 0.0)
    assert found.correct == {'D1#1': 1.0, 'D1#2': 0.0}


def test_one_class_and_few_cells_are_no_error():
    one = make_cells({'D1#1': 0})
    found = score_controls(call_cells(one, one), one)
    assert all(control.metrics['cell']['accuracy'] == 1.0 for control in found.values())
    assert math.isnan(found['noise_alone'].metrics['cell']['auc'])


def cell_result(name: str, right: bool) -> CellResult:
    p_ser = 0.9 if right else 0.1
    return CellResult(name, 'SER', p_ser, 0.0, 1.0, p_ser, 10, 1.0, 0, np.zeros(160))


@pytest.mark.parametrize(
    ('model_right', 'noise_right', 'words', 'is_better'),
    [
        (20, 2, 'better than noise alone', True),
        (20, 19, 'not shown to be better than noise alone', False),
        (15, 15, 'NOT better than noise alone', False),
        (2, 20, 'NOT better than noise alone', False),
    ],
)
def test_model_is_compared_with_noise_on_the_same_cells(model_right, noise_right, words, is_better):
    names = [f'C#{number}' for number in range(20)]
    cells = [cell_result(name, number < model_right) for number, name in enumerate(names)]
    noise = ControlResult({}, {name: float(number < noise_right) for number, name in enumerate(names)})
    found = compare_with_noise(cells, noise)
    assert (found['words'], found['is_better'], found['n']) == (words, is_better, 20)
    assert found['accuracy_difference'] == pytest.approx((model_right - noise_right) / 20)
    assert found['accuracy_difference_low'] <= found['accuracy_difference'] <= found['accuracy_difference_high']
