"""A dataset's ``metadata.json``: what it was made from, by which version and with which options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from beam_pipelines.errors import UserError

# Names in the file that differ from the names here. The file format is fixed.
_KEYS = {'cell_id': 'cell', 'masks_per_spike': 'masks_a_spike'}


@dataclasses.dataclass(frozen=True)
class CellMetadata:
    """A cell of a dataset.

    Attributes
    ----------
    cell_id, label : the cell and its class, 0 SER or 1 NSER.
    spikes : how many recorded spikes it has.
    split : its split; None where spikes rather than cells are split.
    """

    cell_id: str
    label: int
    spikes: int
    split: str | None


@dataclasses.dataclass(frozen=True)
class SynthesisMetadata:
    """How a synthetic dataset was made, and the files that it was made from.

    Attributes
    ----------
    recipe : the formula.
    masks_per_spike : fewest and most noise masks.
    weights : lowest and highest weight of a mask.
    noise_masks, noise_masks_crc32c : file name and CRC-32C of the noise masks.
    masks_from_cells : cell id -> number of its masks, in the order of the file.
    spike_bank, spike_bank_examples, spike_bank_crc32c : file name, records and CRC-32C of the recorded spikes.
    examples : how many examples of each class were made, SER first.
    """

    recipe: str
    masks_per_spike: tuple[int, int]
    weights: tuple[float, float]
    noise_masks: str
    noise_masks_crc32c: str
    masks_from_cells: Mapping[str, int]
    spike_bank: str
    spike_bank_examples: int
    spike_bank_crc32c: str
    examples: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class DatasetMetadata:
    """The content of ``metadata.json``.

    Attributes
    ----------
    source : ``recorded`` or ``simulated``.
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
    """

    source: str
    protocol: str
    seed: int
    format_version: int
    sero_spikes_version: str
    fingerprint: str
    splits_fingerprint: str
    recording_set: str
    files_used: int
    files_rejected: int
    triggers: int
    spikes: int
    triggers_dropped: int
    cells: tuple[CellMetadata, ...]
    crc32c: Mapping[str, str]
    synthesis: SynthesisMetadata | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file, in the order of the file."""
        content = _as_dict(self)
        content['cells'] = [_as_dict(cell) for cell in self.cells]
        if self.synthesis is None:
            del content['synthesis']
        else:
            content['synthesis'] = _as_dict(self.synthesis)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any], file: str) -> DatasetMetadata:
        """Makes the object from a file's content.

        Parameters
        ----------
        content : what the file holds.
        file : its path, for errors.

        Raises
        ------
        UserError
            If something is missing.
        """
        try:
            fields = _fields_of(cls, content)
            fields['cells'] = tuple(CellMetadata(**_fields_of(CellMetadata, cell)) for cell in content['cells'])
            if content.get('synthesis'):
                fields['synthesis'] = SynthesisMetadata(**_fields_of(SynthesisMetadata, content['synthesis']))
            return cls(**fields)
        except KeyError as error:
            raise UserError(f'has no {error}; build the dataset anew', file=file) from None
        except (AttributeError, TypeError) as error:
            raise UserError(f'is no metadata of a dataset: {error}', file=file) from None


def _as_dict(item: Any) -> dict[str, Any]:
    """Returns a dataclass's fields under their names in the file; tuples become lists."""
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    return {_KEYS.get(name, name): list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _fields_of(kind: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a dataclass's arguments from their names in the file; unknown names are ignored."""
    arguments = {}
    for field in dataclasses.fields(kind):
        key = _KEYS.get(field.name, field.name)
        if key not in content and field.default is None:
            continue
        value = content[key]
        arguments[field.name] = tuple(value) if isinstance(value, list) else value
    return arguments
