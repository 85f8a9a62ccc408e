import collections
import filecmp

from beam_pipelines.domain import recording_day
from beam_pipelines.recordings import published_cells as module
from beam_pipelines.recordings.published_cells import published_cells
from tests.support.places import ROOT, SHARED
from tests.support.requirements import needs_shared


def test_sums_are_the_published_ones():
    spikes = collections.Counter()
    for cell in published_cells():
        spikes[cell.label_name] += cell.spikes
    assert spikes == {'SER': 29_773, 'NSER': 13_554}
    assert collections.Counter(cell.label_name for cell in published_cells()) == {'SER': 108, 'NSER': 45}


def test_the_day_tells_the_class_of_138_cells():
    classes_of_day = collections.defaultdict(collections.Counter)
    for cell in published_cells():
        classes_of_day[cell.day][cell.label_name] += 1
        assert recording_day(cell.cell_id) == cell.day
    assert len(classes_of_day) == 23
    assert sum(len(classes) == 2 for classes in classes_of_day.values()) == 6
    assert sum(max(classes.values()) for classes in classes_of_day.values()) == 138


@needs_shared
def test_list_is_the_published_one():
    folder = ROOT / 'beam_pipelines' / 'recordings'
    assert filecmp.cmp(folder / module._FILE, SHARED / 'data' / 'published' / 'published_cells.csv', shallow=False)
