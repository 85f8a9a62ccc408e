"""Tiny simulated recordings, and files of recordings made by hand."""

import pathlib
import shutil

# Few, so that a few seconds of silence in each tiny recording are enough.
NUM_MASKS = 50
TINY_PROFILE_SEED = 1


def tiny_profile():
    """Returns the profile of ``recordings_root``."""
    # Imported late, so that tests of other parts need not load it.
    from beam_pipelines.simulation.recordings import Profile

    return Profile('tiny', {name: {'SER': 4, 'NSER': 4} for name in ('original', 'non_homogeneous')}, seconds=5.0)


def copy_without_stamp(recordings_root: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Copies simulated recordings so that nothing says any more what they are."""
    shutil.copytree(recordings_root, target, ignore=shutil.ignore_patterns('SIMULATED.json'))
    for path in target.rglob('*.abf'):
        path.write_bytes(path.read_bytes().replace(b'SIMULATED by sero-spikes', bytes(24)))
    return target


def write_spike_csv(folder: pathlib.Path, trigger: int, current_pa) -> pathlib.Path:
    """Writes one spike as the published spike files are; the folder is the cell's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{folder.name}_trigger_{trigger}.csv'
    rows = [f'{(trigger - 40 + row) / 40_000:.6f},{value:.4f}' for row, value in enumerate(current_pa)]
    path.write_text('\n'.join(['time_s,current_pa', *rows]) + '\n')
    return path


def read_abf(path: str, resample: bool = False):
    """Reads a recording with one current."""
    from beam_pipelines.recordings.current_channels import several_currents_detail
    from beam_pipelines.recordings.formats import read_recordings
    from beam_pipelines.recordings.reading_options import ReadingOptions
    from beam_pipelines.recordings.rejection import RecordingRejected

    recordings = list(read_recordings(path, ReadingOptions(resample)))
    if len(recordings) != 1:
        raise RecordingRejected('wrong_unit', several_currents_detail([of.channel for of in recordings]))
    return recordings[0]
