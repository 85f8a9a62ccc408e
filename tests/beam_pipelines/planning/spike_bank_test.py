import mmap
import tracemalloc

import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.planning.example_source import ExampleSource
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import IngestedCell, plan_dataset
from beam_pipelines.planning.spike_bank import MappedBank, encode_bank
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.synthesis.synthesizer import smooth
from tests.support.small_dataset import CELLS, make_bank, make_source


def _staged(cell_id: str) -> bytes:
    return CELLS[cell_id].to_bytes()


@pytest.mark.parametrize('config', ['original', 'synthetic_small'])
def test_the_bank_holds_the_spikes_of_the_plan_s_cells_and_the_masks_that_they_give(config):
    plan, _ = make_source(config)
    bank = make_bank(plan)
    records = record_layout.view_records(bank.records(slice(None)))
    spikes = [CELLS[cell.cell_id] for cell in plan.cells]
    waveform = np.concatenate([cell.waveforms for cell in spikes])
    np.testing.assert_array_equal(records['waveform'], waveform)
    trigger = np.concatenate([cell.triggers for cell in spikes])
    np.testing.assert_array_equal(record_layout.decode_varints(records['trigger']), trigger)
    assert not record_layout.find_bad_records(bank.records(slice(None)))
    masks = np.concatenate([CELLS[cell.cell_id].masks[: cell.masks] for cell in plan.cells])
    np.testing.assert_array_equal(bank.noise_masks, masks)
    assert len(masks) == (40 if config == 'synthetic_small' else 0)
    if plan.synthetic_examples:
        np.testing.assert_array_equal(bank.smoothed(), smooth(waveform))
        label = record_layout.decode_varints(records['label'])
        for value, rows in enumerate(bank.rows_of_class()):
            assert len(rows) and (label[rows] == value).all()


def test_a_file_that_is_not_whole_or_of_another_dataset_is_not_used():
    plan, _ = make_source('synthetic_small')
    content = b''.join(encode_bank(plan, _staged))
    other, _ = make_source('synthetic_small', seed=1)
    for wrong in (content[:-1], content + b'\0', b'', b''.join(encode_bank(other, _staged))):
        with pytest.raises(OSError, match='does not hold the spikes of this dataset, or not all'):
            MappedBank(plan, wrong, 'file')


def test_a_worker_maps_the_spikes_and_holds_a_block_of_rows(tmp_path):
    spikes, cells = 10_000, {f'D#{number}': number % 2 for number in range(6)}
    generator = np.random.default_rng(0)
    content = {
        cell_id: CellSpikes(
            generator.normal(0, 30, (spikes, 160)).astype(np.float32),
            np.arange(spikes),
            generator.normal(0, 3, (10, 160)).astype(np.float32),
            np.arange(10),
        )
        for cell_id in cells
    }
    report = ExtractionReport(1, (), spikes, spikes)
    ingested = [
        IngestedCell(
            'original', label, cell_id, cell_id, content[cell_id].fingerprint(), 10, report,
            content[cell_id].spikes_fingerprint(),
        )
        for cell_id, label in cells.items()
    ]  # fmt: skip
    for config in ('original', 'synthetic_small'):
        plan = plan_dataset(config, ingested, BuildOptions('r', 'd', (config,), num_masks=20))
        path = tmp_path / config
        with open(path, 'wb') as file:
            file.writelines(encode_bank(plan, lambda staged: content[staged].to_bytes()))
        with open(path, 'rb') as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        tracemalloc.start()
        source = ExampleSource(plan, MappedBank(plan, mapped, str(path)))
        for _ in source.blocks('train', 0, 5_000):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < path.stat().st_size / 2, config
