"""Finishes a staged dataset: checks that it is complete and writes the files beside the shards."""

from __future__ import annotations

import collections
import dataclasses
import io
import os
import tempfile
from collections.abc import Mapping, Sequence

import google_crc32c
import msgspec
import numpy as np
from apache_beam.io.filesystems import FileSystems

import beam_pipelines
from beam_pipelines.datasets import croissant, record_layout, tfds_metadata
from beam_pipelines.datasets.checksums import encode_checksums
from beam_pipelines.datasets.configs import (
    CARD_FILE,
    CHECKSUMS_FILE,
    CONFIGS,
    CROISSANT_FILE,
    INFO_FILE,
    LAYOUT_FILE,
    NOISE_MASKS_FILE,
    REJECTED_FILE,
    SPIKE_BANK_FILE,
    shard_name,
)
from beam_pipelines.datasets.dataset_card import write_card
from beam_pipelines.datasets.metadata import CellMetadata, DatasetMetadata, SynthesisMetadata
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.planning.spike_bank import MappedBank
from beam_pipelines.recordings.rejection import rejected_lines
from beam_pipelines.recordings.sources import find_source
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.storage import files as storage
from beam_pipelines.storage.atomic_files import write_json, write_text
from beam_pipelines.transforms.write_shards import WrittenShard

# Spikes are copied to be written; more of them at a time would set the peak of a build's memory.
_SPIKES_AT_A_TIME = 1024


@dataclasses.dataclass(frozen=True)
class Sources:
    """What a dataset was made from.

    Attributes
    ----------
    name : of the recordings by the files in their root; the mark of a single recording can make it less real.
    reports : on the files of its recordings.
    bank : the spikes and masks that synthetic spikes were made from; None for recorded ones.
    """

    name: str
    reports: Sequence[ExtractionReport]
    bank: MappedBank | None = None


def finish_dataset(plan: DatasetPlan, sources: Sources, written: Sequence[WrittenShard], folder: str) -> None:
    """Checks the shards and writes the files beside them; TFDS's ``dataset_info.json`` comes last.

    Repeating it gives the same files.

    Parameters
    ----------
    plan : the dataset's plan.
    sources : what it was made from.
    written : its shards, in any order.
    folder : the folder that holds them.

    Raises
    ------
    RuntimeError
        If a shard is missing or its size differs from the plan. This must never happen.
    """
    written = sorted(written, key=lambda shard: (list(plan.shards).index(shard.split), shard.number))
    check_shard_sizes(plan, folder)
    _check_reports(plan, written, folder)
    # Leftovers of workers that died while writing; other workers have written their shards.
    storage.remove_temporary_files(folder)
    storage.write_json(FileSystems.join(folder, LAYOUT_FILE), record_layout.as_json())
    synthesis = _write_bank(plan, sources.bank, folder) if sources.bank else None
    lengths = {split: [shard.examples for shard in written if shard.split == split] for split in plan.shards}
    num_bytes = {split: sum(of_split) * record_layout.RECORD_BYTES for split, of_split in lengths.items()}
    write_rejected(FileSystems.join(folder, REJECTED_FILE), sources.reports)
    metadata = _metadata(plan, sources, written, synthesis)
    # Through a local folder, because for an object store TFDS would use TensorFlow's client instead of Beam's.
    with tempfile.TemporaryDirectory() as local:
        tfds_metadata.write_dataset_info(
            local,
            CONFIGS[plan.config],
            [cell.cell_id for cell in plan.cells],
            tfds_metadata.split_infos(lengths, num_bytes, local),
            msgspec.to_builtins(metadata),
        )
        _write_descriptions(local, plan.config, metadata, {split: sum(of_split) for split, of_split in lengths.items()})
        _write_checksums(folder, local)
        for name in sorted(os.listdir(local), key=lambda name: (name == INFO_FILE, name)):
            storage.upload(os.path.join(local, name), FileSystems.join(folder, name))


def _write_descriptions(folder: str, config: str, metadata: DatasetMetadata, examples: Mapping[str, int]) -> None:
    """Writes ``croissant.json`` and the dataset card into a local folder."""
    write_json(os.path.join(folder, CROISSANT_FILE), croissant.describe(CONFIGS[config], metadata, examples), False)
    write_text(os.path.join(folder, CARD_FILE), write_card(CONFIGS[config], metadata, examples))


def _write_checksums(folder: str, local: str) -> None:
    """Writes ``checksums.json`` into a folder, for the files there without a checksum and those still to come."""
    contents = {name: storage.read_bytes(FileSystems.join(folder, name)) for name in (LAYOUT_FILE, REJECTED_FILE)}
    contents |= {name: storage.read_bytes(os.path.join(local, name)) for name in os.listdir(local)}
    storage.write_bytes(FileSystems.join(folder, CHECKSUMS_FILE), encode_checksums(contents))


def write_rejected(path: str, reports: Sequence[ExtractionReport]) -> None:
    """Writes ``rejected.jsonl``: the unused files, in the order of their paths."""
    rejected = sorted((file for report in reports for file in report.rejected), key=lambda file: file.path)
    storage.write_bytes(path, rejected_lines(rejected).encode())


def check_shard_sizes(plan: DatasetPlan, folder: str) -> None:
    """Raises RuntimeError if a folder lacks a shard of a plan, or holds one whose size differs from the plan."""
    sizes = {FileSystems.split(path)[1]: size for path, size in storage.list_files(folder).items()}
    for split, shards in plan.shards.items():
        for number in range(shards):
            name = shard_name(split, number, shards)
            first, stop = plan.shard_range(split, number)
            expected = (stop - first) * record_layout.RECORD_BYTES
            if sizes.get(name) != expected:
                raise RuntimeError(f'{folder}/{name}: {sizes.get(name)} bytes, expected {expected}')


def _check_reports(plan: DatasetPlan, written: Sequence[WrittenShard], folder: str) -> None:
    planned = [(split, number) for split, shards in plan.shards.items() for number in range(shards)]
    if [(shard.split, shard.number) for shard in written] != planned:
        raise RuntimeError(f'{folder}: {len(written)} shards were reported, {len(planned)} planned')


def _write_bank(plan: DatasetPlan, bank: MappedBank, folder: str) -> SynthesisMetadata:
    """Writes the noise masks and recorded spikes that a synthetic dataset was made from, and describes them."""
    buffer = io.BytesIO()
    np.save(buffer, bank.noise_masks)
    noise_masks = buffer.getvalue()
    storage.write_bytes(FileSystems.join(folder, NOISE_MASKS_FILE), noise_masks)
    checksum = google_crc32c.Checksum()
    with storage.create_atomically(FileSystems.join(folder, SPIKE_BANK_FILE)) as file:
        for start in range(0, len(bank.rows), _SPIKES_AT_A_TIME):
            records = bank.records(slice(start, start + _SPIKES_AT_A_TIME))
            checksum.update(records)
            file.write(records.data)
    recipe, examples = plan.recipe, plan.synthetic_examples
    assert examples
    return SynthesisMetadata(
        recipe='MA3(spike) + sum of w_i * mask_i',
        masks_per_spike=(recipe.min_masks, recipe.max_masks),
        weights=(recipe.min_weight, recipe.max_weight),
        noise_masks=NOISE_MASKS_FILE,
        noise_masks_crc32c=f'{google_crc32c.value(noise_masks):08x}',
        masks_from_cells={cell.cell_id: cell.masks for cell in plan.cells if cell.masks},
        spike_bank=SPIKE_BANK_FILE,
        spike_bank_examples=len(bank.rows),
        spike_bank_crc32c=checksum.hexdigest().decode(),
        examples=examples,
    )


def _metadata(
    plan: DatasetPlan, sources: Sources, written: Sequence[WrittenShard], synthesis: SynthesisMetadata | None
) -> DatasetMetadata:
    reports = sources.reports
    made = find_source({sources.name, *(name for report in reports for name in report.made_files)})
    return DatasetMetadata(
        source=made.name if made else sources.name,
        protocol=plan.protocol,
        seed=plan.seed,
        format_version=record_layout.FORMAT_VERSION,
        sero_spikes_version=beam_pipelines.__version__,
        fingerprint=plan.fingerprint,
        splits_fingerprint=plan.splits_fingerprint,
        recording_set=CONFIGS[plan.config].recording_set,
        files_used=sum(report.used_files for report in reports),
        files_rejected=sum(len(report.rejected) for report in reports),
        triggers=sum(report.triggers for report in reports),
        spikes=sum(report.spikes for report in reports),
        triggers_dropped=sum(report.dropped for report in reports),
        cells=tuple(CellMetadata(cell.cell_id, cell.label, cell.spikes, cell.split) for cell in plan.cells),
        crc32c={shard_name(shard.split, shard.number, plan.shards[shard.split]): shard.crc32c for shard in written},
        synthesis=synthesis,
        triggers_dropped_by_reason=dict(sum((report.dropped_by_reason for report in reports), collections.Counter())),
        cutting=plan.cutting,
        second_spikes=sum(report.second_spikes for report in reports),
        checksums=True,
    )
