"""What TFDS's ``dataset_info.json`` says about the splits: how many records each of their shards has."""

from __future__ import annotations

from typing import Annotated

import msgspec

from beam_pipelines.datasets.file_names import FileName
from beam_pipelines.errors import UserError
from beam_pipelines.storage.typed_json import check_content, decode_json

# As TFDS writes 64-bit numbers; as long as ours can be.
_Count = Annotated[str, msgspec.Meta(pattern=r'\A[0-9]{1,15}\Z')]


class _Split(msgspec.Struct, frozen=True):
    name: FileName
    lengths: tuple[_Count, ...] = msgspec.field(name='shardLengths')


class _Info(msgspec.Struct, frozen=True):
    splits: tuple[_Split, ...]


def decode_split_lengths(content: bytes, path: str) -> dict[str, list[int]]:
    """Returns how many records each shard of each split has.

    Parameters
    ----------
    content : of ``dataset_info.json``.
    path : where it is, for errors.

    Raises
    ------
    UserError
        If it is damaged, or names a split twice; names the file and the field.
    """
    info = check_content(decode_json(content, path), _Info, path)
    lengths = {split.name: list(map(int, split.lengths)) for split in info.splits}
    if len(lengths) < len(info.splits):
        raise UserError('a split is there twice; make the file anew', file=path, field='splits', value=list(lengths))
    return lengths
