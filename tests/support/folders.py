"""What is in a folder, as something to compare."""

import pathlib


def shards_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the bytes of each shard of a dataset by file name, and fails the test if there is none."""
    shards = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if '.tfrecord-' in path.name}
    assert shards, f'no shard in {folder}'
    return shards


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the bytes of each file below a folder by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}
