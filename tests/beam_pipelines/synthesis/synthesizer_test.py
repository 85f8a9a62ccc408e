import csv

import numpy as np
import pytest

from beam_pipelines.datasets.configs import CONFIGS
from beam_pipelines.errors import UserError
from beam_pipelines.synthesis import synthesizer as synthesis
from beam_pipelines.synthesis.synthesizer import Recipe, SpikeBank, Synthesizer
from tests.support.places import SHARED
from tests.support.requirements import needs_shared

_SPIKES, _MASKS = 300, 40
_EXAMPLES = (6_675, 6_025)
_TOTAL = sum(_EXAMPLES)


def _bank(spikes: int = _SPIKES, masks: int = _MASKS):
    generator = np.random.default_rng(0)
    waveforms = generator.normal(-20, 30, (spikes, 160)).astype(np.float32)
    labels = (generator.permutation(spikes) < spikes // 3).astype(int)
    return waveforms, labels, generator.normal(0, 3, (masks, 160)).astype(np.float32)


def _synthesizer(examples=_EXAMPLES, seed=0, recipe=None, **sizes) -> Synthesizer:
    return Synthesizer(SpikeBank(*_bank(**sizes)), examples, seed, recipe or Recipe())


@pytest.fixture(scope='module')
def drawn():
    return _synthesizer().draw(np.arange(_TOTAL))


@pytest.fixture(scope='module')
def small_labels():
    """Labels of `synthetic_small` in its own size."""
    examples = CONFIGS['synthetic_small'].synthetic_examples
    return _synthesizer(examples).draw(np.arange(sum(examples))).label


def test_smoothing_is_the_mean_of_three_samples():
    waveforms, _, _ = _bank()
    exact = waveforms.astype(np.float64)
    expected = (exact[:, :-2] + exact[:, 1:-1] + exact[:, 2:]) / 3
    np.testing.assert_array_equal(synthesis.smooth(waveforms)[:, 1:-1], expected.astype(np.float32))


def test_smoothing_of_the_first_and_last_sample_is_the_mean_of_two():
    waveforms, _, _ = _bank()
    exact = waveforms.astype(np.float64)
    smoothed = synthesis.smooth(waveforms)
    np.testing.assert_array_equal(smoothed[:, 0], ((exact[:, 0] + exact[:, 1]) / 2).astype(np.float32))
    np.testing.assert_array_equal(smoothed[:, -1], ((exact[:, -2] + exact[:, -1]) / 2).astype(np.float32))


def test_smoothing_leaves_its_input_alone():
    waveforms, _, _ = _bank()
    before = waveforms.copy()
    synthesis.smooth(waveforms)
    np.testing.assert_array_equal(waveforms, before)


def test_smoothing_of_a_constant_is_the_constant():
    np.testing.assert_array_equal(synthesis.smooth(np.full((1, 160), -7, np.float32)), np.full((1, 160), -7))


def _published(name: str) -> np.ndarray:
    with open(SHARED / 'data/published' / name, encoding='utf-8') as file:
        return np.array([float(row['current_pA']) for row in csv.DictReader(file)])


@needs_shared
@pytest.mark.parametrize('panel', [1, 2, 3, 4])
def test_the_published_synthetic_spikes_are_the_smoothed_spike_and_noise(panel):
    smoothed = synthesis.smooth(_published('published_spike.csv')[np.newaxis].astype(np.float32))[0]
    version = _published(f'published_synthetic_{panel}.csv')
    gain, _ = np.polyfit(smoothed, version, 1)
    assert gain == pytest.approx(1, abs=0.03)
    assert 0.8 <= (version - smoothed).std() <= 3.5


def test_each_class_has_exactly_its_number_of_examples(drawn):
    assert np.bincount(drawn.label).tolist() == list(_EXAMPLES)


def test_the_published_numbers_come_out_exactly(small_labels):
    assert np.bincount(small_labels).tolist() == [66_753, 60_253]


def test_classes_are_balanced_within_1_percent_in_every_window_of_10000(small_labels):
    is_ser = np.concatenate([[0], np.cumsum(small_labels == 0)])
    share = (is_ser[10_000:] - is_ser[:-10_000]) / 10_000
    assert abs(share - 66_753 / 127_006).max() < 0.01


def test_the_order_of_the_classes_is_random(small_labels):
    # Wald-Wolfowitz: how many runs of one class there are, against what independent draws give.
    ser, nser = np.bincount(small_labels)
    runs = 1 + np.count_nonzero(np.diff(small_labels))
    mean = 1 + 2 * ser * nser / (ser + nser)
    sd = np.sqrt((mean - 1) * (mean - 2) / (ser + nser - 1))
    # Balance within blocks of 1024 makes runs a little more frequent: 1 / 1024 of them.
    assert abs(runs - mean * (1 + 1 / 1024)) < 4 * sd


def test_a_spike_gives_its_label(drawn):
    _, labels, _ = _bank()
    np.testing.assert_array_equal(labels[drawn.spike], drawn.label)


def test_any_range_gives_what_the_whole_gives(drawn):
    synthesizer = _synthesizer()
    # The last are wholly inside the last block, which is smaller than the others.
    for first, stop in ((0, 1), (1, 5_000), (1_023, 1_025), (7_777, _TOTAL), (_TOTAL - 9, _TOTAL - 1)):
        part = synthesizer.draw(np.arange(first, stop))
        for name in ('label', 'spike', 'masks', 'weights'):
            np.testing.assert_array_equal(getattr(part, name), getattr(drawn, name)[first:stop], err_msg=name)


def test_examples_in_any_order_and_with_repeats_are_those_of_the_range(drawn):
    example = np.random.default_rng(1).integers(0, _TOTAL, 20_000)
    draws = _synthesizer().draw(example)
    for name in ('label', 'spike', 'masks', 'weights'):
        np.testing.assert_array_equal(getattr(draws, name), getattr(drawn, name)[example], err_msg=name)


@pytest.mark.parametrize('kind', [np.uint16, np.int32, np.uint64])
def test_the_type_of_the_numbers_does_not_matter(kind):
    synthesizer = _synthesizer(CONFIGS['synthetic'].synthetic_examples)
    example = np.arange(60_000, 63_000)
    expected, draws = synthesizer.draw(example), synthesizer.draw(example.astype(kind))
    for name in ('label', 'spike', 'masks', 'weights'):
        np.testing.assert_array_equal(getattr(draws, name), getattr(expected, name), err_msg=name)


def test_no_example_at_all_can_be_drawn():
    draws = _synthesizer().draw(np.arange(0))
    assert draws.masks.shape == draws.weights.shape == (0, 4)


@pytest.mark.parametrize('beyond', [-1, _TOTAL])
def test_a_number_that_is_none_of_an_example_is_an_error(beyond):
    with pytest.raises(ValueError, match=r'examples must be in 0\.\.12699, got '):
        _synthesizer().draw(np.array([5, beyond, 7]))


def test_waveforms_do_not_depend_on_the_range():
    synthesizer = _synthesizer()
    whole = synthesizer.make(synthesizer.draw(np.arange(3000)))
    part = synthesizer.make(synthesizer.draw(np.arange(1234, 2345)))
    np.testing.assert_array_equal(part, whole[1234:2345])


def test_another_seed_gives_other_examples(drawn):
    other = _synthesizer(seed=1).draw(np.arange(_TOTAL))
    assert np.mean(other.label != drawn.label) > 0.4
    assert np.mean(other.spike != drawn.spike) > 0.9
    assert np.mean(other.masks[:, 0] != drawn.masks[:, 0]) > 0.9


@pytest.mark.parametrize('label', [0, 1])
def test_no_pair_of_spike_and_first_mask_comes_twice_within_a_pass(label):
    # Twice and a half as many examples as there are pairs: two whole passes and half of one.
    pairs = [np.sum(_bank(spikes=60)[1] == value) * 8 for value in (0, 1)]
    examples = (int(2.5 * pairs[0]), int(2.5 * pairs[1]))
    draws = _synthesizer(examples, spikes=60, masks=8).draw(np.arange(sum(examples)))
    of_class = draws.label == label
    pair = np.sort(draws.spike[of_class] * 8 + draws.masks[of_class, 0])
    counts = np.unique(pair, return_counts=True)[1]
    assert len(counts) == pairs[label]
    assert set(counts) == {2, 3}


def test_while_there_are_pairs_enough_each_example_is_another(drawn):
    for label, count in enumerate(_EXAMPLES):
        of_class = drawn.label == label
        distinct = len(set(zip(drawn.spike[of_class], drawn.masks[of_class, 0], strict=True)))
        pairs = np.sum(_bank()[1] == label) * _MASKS
        assert distinct == min(count, pairs)


def test_spikes_are_used_evenly(drawn):
    ser_spikes = np.sum(_bank()[1] == 0)
    counts = np.bincount(drawn.spike[drawn.label == 0], minlength=_SPIKES)
    counts = counts[counts > 0]
    assert len(counts) == ser_spikes
    # At most as wide as independent draws would be.
    assert counts.std() < 1.2 * np.sqrt(_EXAMPLES[0] / ser_spikes)


def test_masks_on_a_spike_differ(drawn):
    ordered = np.sort(drawn.masks, axis=1)
    assert (np.diff(ordered, axis=1) > 0).all()
    assert ordered.min() >= 0
    assert ordered.max() < _MASKS


def test_masks_on_a_spike_differ_even_if_there_are_only_four():
    masks = _synthesizer(masks=4).draw(np.arange(1000)).masks
    np.testing.assert_array_equal(np.sort(masks, axis=1), np.tile(np.arange(4), (1000, 1)))


@pytest.mark.parametrize(('fewest', 'most'), [(1, 4), (2, 3), (1, 1), (4, 4)])
def test_the_number_of_masks_is_drawn_uniformly_as_the_recipe_says(fewest, most):
    draws = _synthesizer(recipe=Recipe(fewest, most)).draw(np.arange(12_000))
    counts = np.bincount((draws.weights > 0).sum(axis=1), minlength=5)
    allowed = range(fewest, most + 1)
    assert counts[list(allowed)].sum() == 12_000
    assert abs(counts[list(allowed)] / 12_000 - 1 / len(allowed)).max() < 0.02


def test_the_first_mask_is_always_used(drawn):
    assert (drawn.weights[:, 0] > 0).all()
    # Used masks stand before unused ones.
    assert (np.diff((drawn.weights > 0).astype(int), axis=1) <= 0).all()


def test_weights_are_drawn_uniformly_as_the_recipe_says(drawn):
    weights = drawn.weights[drawn.weights > 0]
    assert weights.min() >= np.float32(0.31)
    assert weights.max() <= np.float32(0.36)
    shares = np.histogram(weights, bins=5, range=(0.31, 0.36))[0] / len(weights)
    assert abs(shares - 0.2).max() < 0.02


def test_a_waveform_is_the_smoothed_spike_and_its_weighted_masks():
    waveforms, _, masks = _bank()
    synthesizer = _synthesizer()
    draws = synthesizer.draw(np.arange(500, 1500))
    expected = synthesis.smooth(waveforms)[draws.spike].astype(np.float64)
    expected += np.einsum('nk,nks->ns', draws.weights.astype(np.float64), masks[draws.masks])
    np.testing.assert_allclose(synthesizer.make(draws), expected, rtol=0, atol=1e-4)


def test_making_spikes_leaves_the_bank_alone():
    synthesizer = _synthesizer()
    draws = synthesizer.draw(np.arange(500))
    np.testing.assert_array_equal(synthesizer.make(draws), synthesizer.make(draws))


def test_one_class_alone_can_be_made():
    draws = _synthesizer(examples=(0, 500)).draw(np.arange(500))
    assert (draws.label == 1).all()


def test_fewer_than_four_masks_are_an_error():
    with pytest.raises(ValueError, match='3 noise masks, at least 4 are needed'):
        _synthesizer(masks=3)


def test_a_class_without_spikes_is_an_error_that_names_it():
    waveforms, _, masks = _bank()
    with pytest.raises(ValueError, match='6025 synthetic NSER spikes wanted, but there is no NSER spike'):
        Synthesizer(SpikeBank(waveforms, np.zeros(len(waveforms), int), masks), _EXAMPLES, 0, Recipe())


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ((0, 4), 'masks per spike must be 1..4, got 0..4'),
        ((1, 5), 'got 1..5'),
        ((3, 2), 'got 3..2'),
        ((1, 4, 0.4, 0.3), 'min_weight 0.4 is above max_weight 0.3'),
    ],
)
def test_a_recipe_that_cannot_be_is_an_error(values, message):
    with pytest.raises(UserError, match=message):
        Recipe(*values)
