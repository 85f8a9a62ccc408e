"""Verdicts below a folder of recordings are passed over, and nothing else is."""

from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.verdict_files import ALWAYS_WRITTEN, without_verdicts

_OUTPUTS = [f'r/verdicts/{name}' for name in ALWAYS_WRITTEN]


def test_verdicts_and_their_exports_are_left_out():
    exports = ['r/verdicts/nwb/A1#001.nwb', 'r/verdicts/cluster_sero.tsv', 'r/verdicts/phy/cluster_sero.tsv']
    assert without_verdicts(['r/A1#001.abf', *_OUTPUTS, *exports]) == ['r/A1#001.abf']


def test_a_recording_beside_verdicts_is_found():
    assert without_verdicts([*_OUTPUTS, 'r/verdicts/A1#002.abf']) == ['r/verdicts/A1#002.abf']


def test_files_of_the_same_names_elsewhere_are_not_passed_over():
    paths = [*_OUTPUTS[1:], 'r/nwb/A1#001.nwb', 'r/cells.csv']
    assert without_verdicts(paths) == paths


def test_a_build_finds_only_the_recordings():
    recordings, rejected = group_files(('original', 0, path) for path in ['r/A1#001.abf', *_OUTPUTS])
    assert [recording.paths for recording in recordings] == [('r/A1#001.abf',)]
    assert not rejected
