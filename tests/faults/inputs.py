"""What the commands of a campaign work on: tiny recordings, datasets and a finished run, made once a campaign."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator

from tests.support import drive_stand_in
from tests.support.recordings import NUM_MASKS, TINY_PROFILE_SEED, tiny_profile
from tests.support.started_commands import start_command
from tests.support.training_runs import TINY_RUN, train_arguments

# Some seconds of training, with checkpoints close to each other.
SHORT_RUN = TINY_RUN | {'train_on': 'original', 'examples_per_epoch': 512, 'checkpoint_steps': 5}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Folders and files that commands read; each try has copies of those that it may change.

    Attributes
    ----------
    recordings : a recordings root.
    data_dir : holds the datasets ``original`` and ``non_homogeneous`` of it.
    run : the folder of a finished run on ``original``.
    drive : a stand-in that has some of the recordings, in place of Google Drive.
    """

    recordings: pathlib.Path
    data_dir: pathlib.Path
    run: pathlib.Path
    drive: drive_stand_in.Drive


@contextlib.contextmanager
def made_in(folder: pathlib.Path) -> Iterator[Inputs]:
    """Makes the inputs, but for those that an earlier campaign has made there.

    The stand-in for Google Drive is there for as long as the block runs.
    """
    from beam_pipelines.simulation.recordings import simulate

    recordings, data_dir, run = (folder / name for name in ('recordings', 'data', 'run'))
    (folder / 'drive').mkdir(parents=True, exist_ok=True)
    if not recordings.exists():
        simulate(recordings, tiny_profile(), TINY_PROFILE_SEED)
    if not (data_dir / 'sero_spikes' / 'non_homogeneous').exists():
        _run('sero-build', *build_arguments(recordings, data_dir), errors=folder / 'errors')
    if not (run / 'manifest.json').exists():
        _run('sero-train', *train_arguments(SHORT_RUN, data_dir, run), errors=folder / 'errors')
    with drive_stand_in.running(folder / 'drive') as drive:
        _fill(drive, recordings)
        os.environ.update(drive.environment)
        yield Inputs(recordings, data_dir, run, drive)


def build_arguments(recordings: pathlib.Path, data_dir: pathlib.Path) -> list[object]:
    """Returns the arguments of sero-build for the two datasets of recorded spikes."""
    return [
        '--recordings', recordings,
        '--data_dir', data_dir,
        '--configs', 'original,non_homogeneous',
        '--num_masks', NUM_MASKS,
    ]  # fmt: skip


def copy_linked(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a folder as hard links, which commands replace and never write into."""
    shutil.copytree(source, target, copy_function=os.link)


def _fill(drive: drive_stand_in.Drive, recordings: pathlib.Path) -> None:
    from trainer.published.drive import RECORDINGS

    for name, drive_id in RECORDINGS.items():
        files = sorted((recordings / name).iterdir())
        drive.folders[drive_id] = {path.name: path.read_bytes() for path in files}


def _run(name: str, *arguments: object, errors: pathlib.Path) -> None:
    process = start_command(name, *arguments, errors=errors)
    process.join()
    if process.exitcode:
        raise RuntimeError(f'{name}: {errors.read_text()}')
