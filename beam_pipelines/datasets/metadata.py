"""A dataset's ``metadata.json``: what it was made from, by which version and with which options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from beam_pipelines import domain
from beam_pipelines.datasets.file_names import Crc32c, FileName
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, SpikeCutting

_Count = Annotated[int, msgspec.Meta(ge=0)]
# Beyond all that is a weight, and far from what float32 can hold.
LARGEST_WEIGHT = 1e6
_Weight = Annotated[float, msgspec.Meta(ge=-LARGEST_WEIGHT, le=LARGEST_WEIGHT)]


class CellMetadata(msgspec.Struct, frozen=True):
    """A cell of a dataset.

    Attributes
    ----------
    cell_id, label : the cell and its class, 0 SER or 1 NSER.
    spikes : how many recorded spikes it has.
    split : its split; None where spikes rather than cells are split.
    """

    cell_id: str = msgspec.field(name='cell')
    label: Annotated[int, msgspec.Meta(ge=0, lt=len(domain.LABEL_NAMES))]
    spikes: _Count
    split: str | None


class SynthesisMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a synthetic dataset was made, and the files that it was made from.

    Attributes
    ----------
    recipe : the formula.
    masks_per_spike : fewest and most noise masks.
    weights : lowest and highest weight of a mask.
    noise_masks, noise_masks_crc32c : file name and CRC-32C of the noise masks.
    masks_from_cells : cell id -> number of its masks, in the order of the file.
    spike_bank, spike_bank_examples, spike_bank_crc32c : file name, records and CRC-32C of the recorded spikes; None
        in datasets of early versions.
    examples : how many examples of each class were made, SER first.
    """

    recipe: str
    masks_per_spike: tuple[_Count, _Count] = msgspec.field(name='masks_a_spike')
    weights: tuple[_Weight, _Weight]
    noise_masks: FileName
    noise_masks_crc32c: Crc32c
    masks_from_cells: Mapping[str, _Count]
    spike_bank: FileName | None = None
    spike_bank_examples: _Count | None = None
    spike_bank_crc32c: Crc32c | None = None
    examples: tuple[_Count, _Count]


class DatasetMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``metadata.json``; ``msgspec.to_builtins`` returns it as JSON has it, in the order of the file.

    Attributes
    ----------
    source : ``recorded``, ``simulated`` or ``real_shapes``; see ``recordings.sources``.
    protocol : ``by_cell`` or ``published``.
    seed : the build's seed.
    format_version : version of the record layout.
    sero_spikes_version : version of this package that built the dataset.
    fingerprint : a hash of everything that the shards' bytes depend on.
    splits_fingerprint : a hash of which cells are in which split.
    recording_set : the recordings that it was made from.
    files_used, files_rejected : counts of their files.
    triggers, spikes, triggers_dropped : counts of their triggers; ``triggers == spikes + triggers_dropped``.
    cells : the dataset's cells; the position is the number that records store.
    crc32c : file name of each shard -> CRC-32C of the file, eight hexadecimal digits.
    synthesis : only for a synthetic dataset.
    triggers_dropped_by_reason : see ``events.DROP_REASONS``; not in the file if none was dropped.
    second_spikes : spikes in whose window another begins; not in the file if there is none.
    cutting : how its spikes were found and cut; not in the file if in the published way, as by early versions.
    checksums : whether ``checksums.json`` has the checksums of all other files; not in the file of early versions.
    """

    source: str
    protocol: str
    seed: _Count
    format_version: _Count
    sero_spikes_version: str
    fingerprint: str
    splits_fingerprint: str
    recording_set: str
    files_used: _Count
    files_rejected: _Count
    triggers: _Count
    spikes: _Count
    triggers_dropped: _Count
    cells: tuple[CellMetadata, ...]
    crc32c: Mapping[FileName, Crc32c]
    synthesis: SynthesisMetadata | None = None
    triggers_dropped_by_reason: Mapping[str, _Count] = {}
    cutting: SpikeCutting = PUBLISHED_CUTTING
    second_spikes: _Count = 0
    checksums: bool = False
