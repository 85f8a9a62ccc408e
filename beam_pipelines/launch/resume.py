"""How a build handles other builds in the same data directory: running ones and interrupted ones.

Two builds into the same bucket, or into the same folder from two machines, share no lock, so nothing keeps them apart.
They give the same bytes if their recordings and options are the same, and a mixture otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.datasets.configs import CONFIGS, INFO_FILE, METADATA_FILE
from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files
from beam_pipelines.storage.publishing import is_published
from beam_pipelines.transforms.paths import BuildPaths


def find_pending(options: BuildOptions, paths: BuildPaths, overwrite: bool) -> tuple[str, ...]:
    """Returns the configs to build: those that an interrupted run of the same build did not finish, or all.

    Raises
    ------
    UserError
        If a dataset exists and may not be replaced.
    """
    started = _started(_request(options, overwrite), paths)
    present = [config for config in options.configs if is_published(paths.dataset(config), INFO_FILE)]
    for config in present:
        if config not in started and not overwrite:
            raise UserError(f'{paths.dataset(config)}: exists and is kept; --overwrite replaces it')
    return tuple(config for config in options.configs if overwrite or config not in present)


def reserve(options: BuildOptions, paths: BuildPaths, overwrite: bool, pending: Iterable[str]) -> None:
    """Notes that the build writes the pending datasets, so that the same build can go on after an interruption."""
    request = _request(options, overwrite)
    started = _started(request, paths)
    files.write_json(paths.running, {'request': request, 'started': sorted({*started, *pending})})


def _request(options: BuildOptions, overwrite: bool) -> dict:
    return json.loads(json.dumps({'options': msgspec.to_builtins(options), 'overwrite': overwrite}))


def _started(request: dict, paths: BuildPaths) -> list[str]:
    """Returns the configs that an interrupted run of the same build was to write."""
    earlier = files.read_json(paths.running) if files.exists(paths.running) else {}
    return earlier.get('started', []) if earlier.get('request') == request else []


def remove_left_behind(options: BuildOptions, paths: BuildPaths) -> None:
    """Removes the leftovers of a killed build, except complete shards that this build may use."""
    files.remove(paths.staging)
    for config in CONFIGS:
        if _is_published(config, paths):
            for left in (paths.plan(config), paths.work(config), paths.replaced(config)):
                files.remove(left)
    for config in options.configs:
        files.remove(paths.failure(config))
    files.remove_temporary_files(paths.root)


def _is_published(config: str, paths: BuildPaths) -> bool:
    """Whether a dataset is published and no later plan will replace it."""
    if not is_published(paths.dataset(config), INFO_FILE):
        return False
    planned = paths.plan(config)
    finished = finished_at(paths.dataset(config))
    return not files.exists(planned) or (finished is not None and files.modification_time(planned) <= finished)


def finished_at(folder: str) -> float | None:
    """Returns when the dataset in a folder was finished, in s since 1970; None if there is none."""
    metadata = FileSystems.join(folder, METADATA_FILE)
    return files.modification_time(metadata) if files.exists(metadata) else None
