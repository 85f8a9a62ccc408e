"""Simulated recordings in a bucket: made in a local folder, then copied, ``SIMULATED.json`` last."""

from __future__ import annotations

import concurrent.futures
import os
import tempfile
from pathlib import Path

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.sources import SIMULATED
from beam_pipelines.simulation.recordings import Profile, simulate
from beam_pipelines.storage import files
from beam_pipelines.storage.object_store import check_access

_COPIES_AT_A_TIME = 8


def simulate_into(url: str, profile: str | Profile, seed: int = 0) -> str:
    """Writes simulated recordings into an object store and returns their root.

    A root without ``SIMULATED.json`` is incomplete. It completes the upload of a killed run: the same profile and seed
    give the same files.

    Parameters
    ----------
    url : the recordings root, such as ``gs://bucket/recordings``; it may hold nothing else.
    profile, seed : as for ``recordings.simulate``.

    Raises
    ------
    UserError
        If the root holds other files or cannot be written.
    """
    url = url.rstrip('/')
    try:
        check_access(url)
        present = {path[len(url) + 1 :] for path in files.list_files(url)}
        if SIMULATED.root_file in present:
            raise UserError(f'{url} holds simulated recordings already; nothing was written')
        with tempfile.TemporaryDirectory() as folder:
            root = simulate(Path(folder) / 'recordings', profile, seed)
            names = sorted(os.path.relpath(path, root) for path in root.rglob('*') if path.is_file())
            if strange := {name for name in present if files.final_path(name) not in names}:
                raise UserError(f'{url} holds other files, such as {min(strange)}; nothing was written')
            for name in present.difference(names):
                files.remove(f'{url}/{name}')
            names.remove(SIMULATED.root_file)
            with concurrent.futures.ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
                list(pool.map(lambda name: files.upload(os.path.join(root, name), f'{url}/{name}'), names))
            files.upload(os.path.join(root, SIMULATED.root_file), f'{url}/{SIMULATED.root_file}')
    except OSError as error:
        raise UserError(f'{error.filename or url}: cannot be written: {error.strerror or error}') from error
    return url
