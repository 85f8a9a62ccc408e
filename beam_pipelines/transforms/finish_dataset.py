"""Finishes a staged dataset and publishes it: checks that it is complete and writes the files beside the shards."""

from __future__ import annotations

import collections
import io
import os
import tempfile
import uuid
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
from beam_pipelines.errors import UserError
from beam_pipelines.planning.example_source import read_bank
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.recordings.rejection import rejected_lines
from beam_pipelines.recordings.sources import find_source
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.storage import files as storage
from beam_pipelines.storage.atomic_files import write_json, write_text
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.write_shards import WrittenShard


def finish_dataset(
    plan: DatasetPlan, reports: Sequence[ExtractionReport], written: Sequence[WrittenShard], folder: str, source: str
) -> None:
    """Checks the shards and writes the files beside them; TFDS's ``dataset_info.json`` comes last.

    Repeating it gives the same files.

    Parameters
    ----------
    plan : the dataset's plan.
    reports : the reports on the files of its recordings.
    written : its shards, in any order.
    folder : the folder that holds them.
    source : of the recordings by the files in their root; the mark of a single recording can make it less real.

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
    synthesis = _write_sources(plan, plan.synthetic_examples, folder) if plan.synthetic_examples else None
    lengths = {split: [shard.examples for shard in written if shard.split == split] for split in plan.shards}
    num_bytes = {split: sum(of_split) * record_layout.RECORD_BYTES for split, of_split in lengths.items()}
    write_rejected(FileSystems.join(folder, REJECTED_FILE), reports)
    metadata = _metadata(plan, reports, written, source, synthesis)
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


def _write_sources(plan: DatasetPlan, synthetic_examples: tuple[int, int], folder: str) -> SynthesisMetadata:
    """Writes the noise masks and recorded spikes that a synthetic dataset was made from, and describes them."""
    spikes, masks = read_bank(plan, storage.read_bytes)
    buffer = io.BytesIO()
    np.save(buffer, masks)
    noise_masks = buffer.getvalue()
    storage.write_bytes(FileSystems.join(folder, NOISE_MASKS_FILE), noise_masks)
    bank = spikes.encode().tobytes()
    storage.write_bytes(FileSystems.join(folder, SPIKE_BANK_FILE), bank)
    recipe = plan.recipe
    return SynthesisMetadata(
        recipe='MA3(spike) + sum of w_i * mask_i',
        masks_per_spike=(recipe.min_masks, recipe.max_masks),
        weights=(recipe.min_weight, recipe.max_weight),
        noise_masks=NOISE_MASKS_FILE,
        noise_masks_crc32c=f'{google_crc32c.value(noise_masks):08x}',
        masks_from_cells={cell.cell_id: cell.masks for cell in plan.cells if cell.masks},
        spike_bank=SPIKE_BANK_FILE,
        spike_bank_examples=len(spikes.label),
        spike_bank_crc32c=f'{google_crc32c.value(bank):08x}',
        examples=synthetic_examples,
    )


def _metadata(
    plan: DatasetPlan,
    reports: Sequence[ExtractionReport],
    written: Sequence[WrittenShard],
    source: str,
    synthesis: SynthesisMetadata | None,
) -> DatasetMetadata:
    made = find_source({source, *(name for report in reports for name in report.made_files)})
    return DatasetMetadata(
        source=made.name if made else source,
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


def publish_dataset(plan: DatasetPlan, paths: BuildPaths) -> None:
    """Moves a finished dataset to its folder; on an object store it is copied, and stays staged until the job ends."""
    folder = paths.staged(plan.config, plan.fingerprint)
    if storage.is_local(folder):
        # If two workers publish at the same time, only one gets the shards, and only that one may replace a dataset.
        own = f'{folder}-{uuid.uuid4().hex}'
        os.replace(folder, own)
        try:
            check_shard_sizes(plan, own)
        except RuntimeError:
            if not was_published_since_planned(plan, paths):
                raise
            return
        folder = own
    storage.publish(folder, paths.dataset(plan.config), aside=paths.replaced(plan.config), last=INFO_FILE)


def is_published_as_planned(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether the planned dataset is already published, as when a template runs twice.

    Raises
    ------
    UserError
        If another dataset is published in its folder.
    """
    published = _published_fingerprint(plan.config, paths)
    if published not in (None, plan.fingerprint):
        raise UserError(f'{paths.dataset(plan.config)}: exists and is kept; --overwrite replaces it')
    return published is not None


def was_published_since_planned(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether another attempt at the same work has published the dataset since it was planned."""
    return _published_fingerprint(plan.config, paths) == plan.fingerprint and (
        storage.modification_time(paths.metadata(plan.config)) >= storage.modification_time(paths.plan(plan.config))
    )


def _published_fingerprint(config: str, paths: BuildPaths) -> str | None:
    """Returns the fingerprint of the published dataset; None if there is none."""
    if not storage.is_published(paths.dataset(config), INFO_FILE):
        return None
    path = paths.metadata(config)
    return storage.read_typed_json(path, DatasetMetadata).fingerprint
