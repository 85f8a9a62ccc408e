r"""Downloads the published recordings and the authors' models from their public Google Drive folders, by gdown.

    pip install '.[drive]'
    sero-download --recordings recordings --models authors

Run again, it fetches only what is missing. The recordings become a recordings root,
`recordings/original/SER/...`. Their cells and spikes are then counted as sero-build would use them, and compared with
the published numbers: those of each folder, and of each cell of `original`. The cells of `original` that differ, are
missing or are extra are listed, 40 at most. If any number differs, the status is 1. To count recordings that are
already there, such as what a browser has downloaded:

    sero-download --recordings recordings --nodownload

Untried on Google Drive itself, which could not be reached from where this was written.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, refuse_urls, run_command, say, show
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.recordings.folder_names import check_folder
from beam_pipelines.recordings.sources import find_source
from beam_pipelines.storage.locks import written_by_one

_MOST_CELLS = 40


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported together."""
    flags.DEFINE_string('recordings', None, 'Recordings root to fill: `original` and `non_homogeneous`.')
    flags.DEFINE_string('models', None, "Folder for the authors' models.")
    flags.DEFINE_boolean('download', True, 'Download; with --nodownload only count what is already there.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    refuse_urls('recordings', 'models')
    if not (flags.FLAGS.recordings or flags.FLAGS.models):
        raise UsageError('give --recordings, --models or both: folders to download into')

    recordings, models = (path and pathlib.Path(path) for path in (flags.FLAGS.recordings, flags.FLAGS.models))
    if flags.FLAGS.download:
        with _written_alone(recordings), _written_alone(models):
            _download(recordings, models)
    return max(_check_recordings(recordings) if recordings else 0, _check_models(models) if models else 0)


@contextlib.contextmanager
def _written_alone(folder: pathlib.Path | None) -> Iterator[None]:
    """Keeps other downloads out of a folder; if no file comes, there is no folder afterwards."""
    if folder is None:
        yield
        return
    existed = folder.exists()
    try:
        with written_by_one(folder, 'wait for it, or choose another folder'):
            yield
    finally:
        with contextlib.suppress(OSError):  # It has files.
            if not existed:
                folder.rmdir()


def _download(recordings: pathlib.Path | None, models: pathlib.Path | None) -> None:
    from trainer.published import drive

    wanted = [(name, id, recordings / name) for name, id in drive.RECORDINGS.items()] if recordings else []
    if models:
        wanted.append(('models', drive.MODELS, models))
    drive.check_can_download()
    failures = []
    for name, drive_id, folder in wanted:
        # A folder of which files cannot be fetched does not keep the others from coming.
        try:
            listed, fetched = drive.fetch_folder(name, drive_id, folder)
        except UserError as error:
            failures.append(str(error))
            continue
        print(f'{name}: {counted(listed, "file")}, {fetched:,} of them fetched now')
    if failures:
        raise UserError('; '.join(failures))


def _check_recordings(root: pathlib.Path) -> int:
    from trainer.published.counts import PUBLISHED, count_root, describe_counts, list_differences

    check_folder(str(root))
    print('counting cells and spikes ...')
    found = count_root(root)
    print(describe_counts(found))
    differences = list_differences(found)
    for line in differences[:_MOST_CELLS]:
        show(line)
    if len(differences) > _MOST_CELLS:
        print(f'... {counted(len(differences) - _MOST_CELLS, "more cell")} of original not as published')
    if made := find_source(found.made_files):
        print(f'These are {made.recordings} and not the published ones.')
    if found.rejected:
        first = found.rejected[0]
        files = counted(len(found.rejected), 'file')
        show(f'{files} cannot be used, the first: {first.path}: {first.reason}: {first.detail}')
    different = [name for name, published in PUBLISHED.items() if found.folders[name] != published]
    if different:
        say(f'{root}: not the published numbers of cells and spikes in {", ".join(different)}')
    elif differences:
        say(f'{root}: {counted(len(differences), "cell")} of original not as published, though the sums are')
    return 1 if different or differences else 0


def _check_models(folder: pathlib.Path) -> int:
    from trainer.published.model_files import CONSENSUS_KERNEL_SIZES, FILE_NAMES, kernel_sizes_below

    found = kernel_sizes_below(folder)
    for parent, kernel_sizes in found.items():
        show(f'{parent}: models with kernel sizes {", ".join(map(str, kernel_sizes))}')
    missing = [set(CONSENSUS_KERNEL_SIZES) - set(kernel_sizes) for kernel_sizes in found.values()]
    if not found:
        say(f'{folder}: holds no file {FILE_NAMES}')
        return 1
    if all(missing):
        fewest = min(missing, key=len)
        sizes = ', '.join(map(str, sorted(fewest)))
        say(f'{folder}: no folder has all models of the published consensus; the fullest lacks {sizes}')
        return 1
    return 0


def run() -> None:
    define_flags()
    run_command('sero-download', __name__)


if __name__ == '__main__':
    run()
