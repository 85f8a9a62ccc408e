"""Turns the files of one cell into spikes and noise masks, and says what became of every file and trigger."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import posixpath
from collections.abc import Callable

import numpy as np

from beam_pipelines import domain, keyed_random
from beam_pipelines.recordings.abf_header import is_simulated
from beam_pipelines.recordings.abf_reader import read_abf
from beam_pipelines.recordings.cell_files import RecordingFiles, RejectedFile
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.spike_csv import parse_file_name, read_spike_csv
from beam_pipelines.spikes import noise_masks
from beam_pipelines.spikes.detection import detect_spikes, no_spikes_detail


@dataclasses.dataclass(frozen=True)
class CellSpikes:
    """What one cell's files hold.

    Attributes
    ----------
    waveforms : (s, 160) float32, pA.
    triggers : (s,) int64, sample indices in the recording, rising.
    masks : (m, 160) float32, pA; noise masks in a seeded random order.
    mask_starts : (m,) int64, first sample of each mask in the recording.
    """

    waveforms: np.ndarray
    triggers: np.ndarray
    masks: np.ndarray
    mask_starts: np.ndarray

    def fingerprint(self) -> str:
        """Returns a hash of all values."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)))
        return digest.hexdigest()

    def spikes_fingerprint(self) -> str:
        """Returns a hash of the spikes alone: the same for the same recording under another name."""
        return hashlib.sha256(np.ascontiguousarray(self.waveforms)).hexdigest()

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> CellSpikes:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class IngestReport:
    """What became of one cell's files: ``files == used_files + len(rejected)``, ``triggers == spikes + dropped``.

    Attributes
    ----------
    used_files : files that gave at least one spike.
    rejected : the files that did not, with the reason.
    triggers, spikes, dropped : triggers found, spikes cut, and triggers whose window does not fit in the sweep.
    duration_s : length of the recording; 0 for spike CSVs, which do not tell.
    simulated_files : used files that say of themselves that they were simulated.
    """

    used_files: int
    rejected: tuple[RejectedFile, ...]
    triggers: int
    spikes: int
    dropped: int
    duration_s: float
    simulated_files: int = 0

    def plus(self, other: IngestReport) -> IngestReport:
        """Returns what became of the files of both reports."""
        return IngestReport(
            *(getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self))
        )


def rejection_report(rejected: RejectedFile) -> IngestReport:
    """Returns the report on a file that gave nothing."""
    return IngestReport(0, (rejected,), 0, 0, 0, 0.0)


def ingest_cell(
    recording: RecordingFiles,
    seed: int,
    max_masks: int,
    resample: bool,
    local_copy: Callable[[str], contextlib.AbstractContextManager[str]] = contextlib.nullcontext,
) -> tuple[CellSpikes | None, IngestReport]:
    """Reads all files of one cell.

    Parameters
    ----------
    recording : the cell's files.
    seed : seeds which spike-free stretches become masks.
    max_masks : how many masks to cut at the most.
    resample : see ``abf_reader.read_abf``.
    local_copy : gives a local path for a file that is on another file system.

    Returns
    -------
    The cell's spikes, None if every file was rejected, and the report. A bad file is never an exception.
    """
    spikes, report = None, IngestReport(0, (), 0, 0, 0, 0.0)
    for files in (recording, *recording.spares):
        if spikes is not None:
            detail = f'cell {recording.cell_id} is already used'
            rejected = tuple(RejectedFile(path, 'duplicate_cell', detail) for path in files.paths)
            report = dataclasses.replace(report, rejected=report.rejected + rejected)
        else:
            ingest = _ingest_abf if files.is_abf else _ingest_csvs
            spikes, of_files = ingest(files, seed, max_masks, resample, local_copy)
            report = report.plus(of_files)
    return spikes, report


def _ingest_abf(recording, seed, max_masks, resample, local_copy):
    (path,) = recording.paths
    triggers_found, duration_s = 0, 0.0
    try:
        with local_copy(path) as local_path:
            sweeps = read_abf(local_path, resample).sweeps
            simulated = is_simulated(local_path)
        duration_s = sum(map(len, sweeps)) / domain.SAMPLING_RATE_HZ
        detected = detect_spikes(sweeps)
        triggers_found, spikes = detected.triggers_found, len(detected.triggers)
        if not spikes:
            raise RecordingRejected('no_spikes', no_spikes_detail(detected, sweeps))
    except RecordingRejected as error:
        rejected = RejectedFile(path, error.reason, error.detail)
        return None, IngestReport(0, (rejected,), triggers_found, 0, triggers_found, duration_s)

    starts = np.cumsum([0, *map(len, sweeps)])
    stretches = [
        noise_masks.find_quiet_stretches(current_pa, found) + start
        for current_pa, found, start in zip(sweeps, detected.found, starts[:-1], strict=True)
    ]
    mask_starts = _choose(np.concatenate(stretches), max_masks, seed, recording.cell_id)
    spikes_of_cell = CellSpikes(detected.waveforms, detected.triggers, _cut_masks(sweeps, mask_starts), mask_starts)
    return spikes_of_cell, IngestReport(
        1, (), triggers_found, spikes, triggers_found - spikes, duration_s, int(simulated)
    )


def _choose(stretches: np.ndarray, most: int, seed: int, cell_id: str) -> np.ndarray:
    cell_number = int.from_bytes(hashlib.sha256(cell_id.encode()).digest()[:4], 'little')
    count = len(stretches)
    chosen = keyed_random.permute(np.arange(min(most, count)), count, keyed_random.derive_key(seed, cell_number))
    return stretches[chosen]


def _cut_masks(sweeps: list[np.ndarray], mask_starts: np.ndarray) -> np.ndarray:
    masks = np.empty((len(mask_starts), noise_masks.MASK_SAMPLES), np.float32)
    sweep_starts = np.cumsum([0, *map(len, sweeps)])
    for mask, start in zip(masks, mask_starts, strict=True):
        sweep = int(np.searchsorted(sweep_starts, start, side='right')) - 1
        first = start - sweep_starts[sweep]
        mask[:] = sweeps[sweep][first : first + len(mask)]
    return masks


def _ingest_csvs(recording, seed, max_masks, resample, local_copy):
    del seed, max_masks, resample  # Single spikes hold no noise, and their time column must fit.
    waveform_of, rejected = {}, []
    for path in recording.paths:
        try:
            trigger = parse_file_name(posixpath.basename(path), recording.cell_id)
            if trigger in waveform_of:
                raise RecordingRejected('bad_name', f'trigger {trigger} comes twice')
            with local_copy(path) as local_path:
                waveform_of[trigger] = read_spike_csv(local_path)
        except RecordingRejected as error:
            rejected.append(RejectedFile(path, error.reason, error.detail))
    spikes = len(waveform_of)
    report = IngestReport(spikes, tuple(rejected), spikes, spikes, 0, 0.0)
    if not spikes:
        return None, report
    triggers = np.array(sorted(waveform_of), np.int64)
    no_masks = np.empty((0, noise_masks.MASK_SAMPLES), np.float32)
    waveforms = np.stack([waveform_of[trigger] for trigger in triggers])
    return CellSpikes(waveforms, triggers, no_masks, np.empty(0, np.int64)), report
