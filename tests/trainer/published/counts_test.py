import collections
import dataclasses

import pytest

from beam_pipelines.recordings.published_cells import published_cells
from trainer.published.counts import PUBLISHED, RootCount, count_root, list_differences

AS_PUBLISHED = {f'{cell.label_name}/{cell.cell_id}': cell.spikes for cell in published_cells()}


def found(**changes: dict) -> RootCount:
    return dataclasses.replace(RootCount(PUBLISHED, (), collections.Counter(), AS_PUBLISHED), **changes)


def test_the_published_cells_do_not_differ():
    assert list_differences(found()) == []


def test_each_cell_that_differs_is_missing_or_extra_is_a_line():
    cells = AS_PUBLISHED | {'SER/A131024#089': 173, 'NSER/B1#1': 5}
    del cells['NSER/F160411#051']
    assert list_differences(found(spikes_of_cells=cells)) == [
        'original/SER/A131024#089: 173 spikes, published 172',
        'original/NSER/F160411#051: missing, published 510 spikes',
        'original/NSER/B1#1: extra, 5 spikes; not in the published list',
    ]


def test_a_cell_in_the_folder_of_the_other_class_is_said_to_be_there():
    cells = dict(AS_PUBLISHED)
    cells['NSER/A131024#089'] = cells.pop('SER/A131024#089')
    assert list_differences(found(spikes_of_cells=cells)) == [
        'original/SER/A131024#089: missing, published 172 spikes; there is original/NSER/A131024#089',
        'original/NSER/A131024#089: extra, 172 spikes; not in the published list',
    ]


@pytest.mark.slow
def test_cells_of_original_are_counted_one_by_one(recordings_root):
    found = count_root(recordings_root)
    of_original = {f'original/{label}': 0 for label in ('SER', 'NSER')}
    for name, spikes in found.spikes_of_cells.items():
        of_original[f'original/{name.partition("/")[0]}'] += spikes
    assert of_original == {name: found.folders[name].spikes for name in of_original}
    assert len(list_differences(found)) == 153 + len(found.spikes_of_cells)
