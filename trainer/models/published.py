"""The authors' own models: ``ModConvBinNormN{k}.keras`` and ``ModConvBinNormN{k}-v{chunk}.keras``, written by Keras 2.

Their weights are read into our own ``published`` members after the architecture has been compared layer by layer.
Nothing in a file is deserialized or run: not by Keras, which also loads only some of what Keras 2 wrote.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import keras

from beam_pipelines.errors import UserError
from trainer.errors import ModelError
from trainer.models.architectures import build_member
from trainer.models.stored_network import fill_member, read_keras_file, read_network
from trainer.published.model_files import FILE, FILE_NAMES


def find_files(folder: str, kernel_sizes: Sequence[int] | None = None) -> dict[int, str]:
    """Finds the authors' files; for each kernel size the one of the highest chunk.

    Parameters
    ----------
    folder : holds the files.
    kernel_sizes : those wanted; None: all that exist.

    Returns
    -------
    {kernel size: path}, in the order of ``kernel_sizes``, or ascending.

    Raises
    ------
    ModelError
        If the folder cannot be read, holds no such file, or lacks one that is wanted.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise ModelError(f'{folder}: {error.strerror}') from None
    # A file without a chunk sorts before the first chunk.
    found = sorted((int(match[1]), int(match[2] or -1), match[0]) for match in map(FILE.fullmatch, names) if match)
    if not found:
        raise ModelError(f'{folder}: holds no file {FILE_NAMES}')
    paths = {kernel_size: os.path.join(folder, name) for kernel_size, _, name in found}
    if kernel_sizes is None:
        return paths
    for kernel_size in kernel_sizes:
        if kernel_size not in paths:
            raise ModelError(f'{folder}: holds no file {FILE_NAMES.format(k=kernel_size, chunk="{chunk}")}')
    return {kernel_size: paths[kernel_size] for kernel_size in kernel_sizes}


def describe_files(paths: dict[int, str]) -> dict[str, dict[str, str]]:
    """Returns {member: {'file': its name, 'sha256': of its content}}, as in ``model_info.json``."""
    return {
        f'k{kernel_size}': {
            'file': os.path.basename(path),
            'sha256': hashlib.sha256(read_keras_file(path)).hexdigest(),
        }
        for kernel_size, path in paths.items()
    }


def load_published_member(path: str, kernel_size: int, precision: str = 'float32') -> keras.Model:
    """Builds a ``published`` member with the weights of one of the authors' files.

    Parameters
    ----------
    path : the file.
    kernel_size, precision : see ``models.build_member``.

    Raises
    ------
    ModelError
        If the file is damaged, or holds a network other than the published one of this kernel size.
    """
    try:
        member = build_member('published', kernel_size, precision)
    except UserError as error:
        raise ModelError(f'{path}: {error}') from None
    fill_member(member, read_network(path), f'the published network with kernel size {kernel_size}')
    return member
