import numpy as np
import pytest

from beam_pipelines.planning.spike_bank import encode_bank
from beam_pipelines.synthesis import synthesizer
from tests.support.small_dataset import CELLS, make_source

_FIELDS = ('waveform', 'label', 'cell', 'trigger', 'mask')


def _all_of(source, split: str, count: int):
    return source.make(split, 0, count)


@pytest.mark.parametrize('protocol', ['by_cell', 'published'])
def test_every_recorded_spike_stands_in_one_split_with_its_cell_label_and_trigger(protocol):
    plan, source = make_source('original', protocol=protocol)
    seen = []
    for split, count in plan.examples.items():
        examples = _all_of(source, split, count)
        assert not examples.mask.any()
        for waveform, label, cell, trigger in zip(
            examples.waveform, examples.label, examples.cell, examples.trigger, strict=True
        ):
            planned = plan.cells[cell]
            spikes = CELLS[planned.cell_id]
            (row,) = np.flatnonzero(spikes.triggers == trigger)
            np.testing.assert_array_equal(waveform, spikes.waveforms[row])
            assert label == planned.label
            assert planned.split in (split, None)
            seen.append(trigger)
    assert sorted(seen) == sorted(np.concatenate([cell.triggers for cell in CELLS.values()]).tolist())


def test_recorded_spikes_are_shuffled_over_the_split():
    plan, source = make_source('original')
    cells = _all_of(source, 'train', plan.examples['train']).cell
    assert np.count_nonzero(np.diff(cells)) > 0.6 * len(cells)


def test_published_protocol_puts_the_spikes_of_a_cell_into_several_splits():
    plan, source = make_source('original', protocol='published')
    train, test = (set(_all_of(source, split, plan.examples[split]).cell) for split in ('train', 'test'))
    assert train & test


def test_a_synthetic_spike_says_what_it_was_made_from():
    plan, source = make_source('synthetic_small')
    examples = source.make('train', 5_000, 5_500)
    masks = np.concatenate([CELLS[cell.cell_id].masks[: cell.masks] for cell in plan.cells])
    assert masks.shape == (40, 160)
    for waveform, label, cell, trigger, mask in zip(*(getattr(examples, name) for name in _FIELDS), strict=True):
        planned = plan.cells[cell]
        spikes = CELLS[planned.cell_id]
        assert planned.split == 'train'
        assert label == planned.label
        assert 1 <= mask <= 40
        smoothed = synthesizer.smooth(spikes.waveforms[spikes.triggers == trigger])[0]
        # The residual holds the first mask with a weight of 0.31 to 0.36, and at most three others.
        residual = waveform - smoothed
        weight, *_ = np.linalg.lstsq(masks.T, residual, rcond=None)
        assert 0.309 < weight[mask - 1] < 0.361


@pytest.mark.parametrize('config', ['original', 'synthetic_small'])
def test_any_range_is_that_range_of_the_whole(config):
    _, source = make_source(config)
    whole = source.make('train', 0, 100)
    part = source.make('train', 37, 80)
    for name in _FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[37:80], err_msg=name)


def test_another_seed_gives_another_order():
    one, other = (make_source('original', seed=seed)[1].make('train', 0, 100).trigger for seed in (0, 1))
    assert one.tolist() != other.tolist()


def test_staged_spikes_that_are_not_those_of_the_plan_are_never_used():
    plan, _ = make_source('original')
    others = {cell_id: CELLS[other] for cell_id, other in zip(CELLS, reversed(CELLS), strict=True)}
    with pytest.raises(RuntimeError, match='is not what was planned for cell'):
        list(encode_bank(plan, lambda staged: others[staged].to_bytes()))
