"""Turns the files of one cell into spikes and noise masks, and accounts for every file and trigger."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.cell_files import RecordingFiles, check_cell_id, composed
from beam_pipelines.recordings.current_channels import several_currents_detail
from beam_pipelines.recordings.formats import is_one_cell, read_recordings
from beam_pipelines.recordings.library_errors import rejecting_faults
from beam_pipelines.recordings.reading_options import ReadingOptions, SpikeCutting
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.recordings.rejection import RecordingRejected, RejectedFile
from beam_pipelines.recordings.sources import RECORDED
from beam_pipelines.recordings.spike_csv import parse_file_name, read_spike_csv
from beam_pipelines.spikes import noise_masks
from beam_pipelines.spikes.baseline import Baseline
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.spikes.csv_windows import prepare_window
from beam_pipelines.spikes.detection import DetectedSpikes
from beam_pipelines.spikes.no_spikes import explain_no_spikes
from beam_pipelines.spikes.preparation import PreparedCurrent, find_spikes

LocalCopy = Callable[[str], contextlib.AbstractContextManager[str]]


@dataclasses.dataclass(frozen=True)
class RecordedCell:
    """The spikes of one cell and the recording they come from.

    Attributes
    ----------
    cell_id : ``day#number``, or the file's name; of several cells in a file, with the name of their series.
    path : the recording, or the folder of spike CSVs.
    spikes : at least one.
    recording, current : the recording as it was read, and its current as spikes were found in it; None for spike CSVs,
        which hold nothing but spikes.
    several_currents : whether the file holds other currents too, without spikes.
    csvs_inverted : whether there are spike CSVs, and spikes point upward in one of them.
    """

    cell_id: str
    path: str
    spikes: DetectedSpikes
    recording: Recording | None = None
    current: PreparedCurrent | None = None
    several_currents: bool = False
    csvs_inverted: bool = False

    @property
    def is_inverted(self) -> bool:
        """Whether spikes point upward in the file."""
        return self.current.is_inverted if self.current else self.csvs_inverted

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """What was taken off the sweeps."""
        return self.current.baselines if self.current else ()


@dataclasses.dataclass(frozen=True)
class ExtractionReport:
    """Accounts for one cell's files: ``files == used_files + len(rejected)``, ``triggers == spikes + dropped``.

    A file of several cells counts as so many files.

    Attributes
    ----------
    used_files : files that gave at least one spike.
    rejected : the files that did not, with the reason.
    triggers, spikes, dropped : triggers found, spikes cut, and triggers that gave no spike.
    duration_s : length of the recording; 0 for spike CSVs, which do not hold it.
    made_files : used files that nobody recorded, by the name of what made them; see ``recordings.sources``.
    dropped_by_reason : ``dropped`` by reason, see ``events.DROP_REASONS``.
    second_spikes : spikes in whose window another begins, which is not counted among them.
    """

    used_files: int = 0
    rejected: tuple[RejectedFile, ...] = ()
    triggers: int = 0
    spikes: int = 0
    dropped: int = 0
    duration_s: float = 0.0
    made_files: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    dropped_by_reason: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    second_spikes: int = 0

    def plus(self, other: ExtractionReport) -> ExtractionReport:
        """Returns the sum of both reports."""
        return ExtractionReport(
            *(getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self))
        )


def rejection_report(rejected: RejectedFile) -> ExtractionReport:
    """Returns the report on a rejected file."""
    return ExtractionReport(rejected=(rejected,))


def rejected_after_all(
    cell: RecordedCell, files: RecordingFiles, report: ExtractionReport, error: RecordingRejected
) -> ExtractionReport:
    """Returns the report on a cell whose spikes were found, and which cannot be used all the same.

    Parameters
    ----------
    cell, files, report, error : the cell, what it was read from, the report on that, and why it cannot be used.
    """
    known = {file.path for file in report.rejected}
    if cell.recording:
        paths = [cell.path]
    else:
        candidates = [path for of_cell in (files, *files.spares) for path in of_cell.paths]
        paths = [path for path in candidates if os.path.dirname(path) == cell.path and path not in known]
    unusable = tuple(RejectedFile(path, error.reason, error.detail) for path in paths)
    return ExtractionReport(rejected=(*report.rejected, *unusable))


def duplicate_cell(path: str, cell_id: str, used_path: str) -> RejectedFile:
    """Returns the rejection of a file whose cell was already read from another file."""
    detail = f'cell {cell_id} is already used, from {used_path}; if this is another cell, give it another name'
    return RejectedFile(path, 'duplicate_cell', detail)


def extract_cells(
    files: RecordingFiles,
    seed: int,
    max_masks: int,
    options: ReadingOptions,
    local_copy: LocalCopy = contextlib.nullcontext,
) -> Iterator[tuple[str, CellSpikes | None, ExtractionReport]]:
    """Extracts the spikes and noise masks of the cells in some files: nearly always of one cell.

    Parameters
    ----------
    files : the cell's files.
    seed : seeds which spike-free stretches become masks.
    max_masks : most masks to cut.
    options, local_copy : see ``read_cells``.

    Yields
    ------
    For each cell its id, what was extracted (None if its files were rejected), and the report.
    """
    for cell, report in read_cells(files, options, local_copy):
        if cell is None:
            yield files.cell_id, None, report
            continue
        try:
            with rejecting_faults():
                found = _with_masks(cell, seed, max_masks)
        except RecordingRejected as error:
            yield cell.cell_id, None, rejected_after_all(cell, files, report, error)
        else:
            yield cell.cell_id, found, report


def _with_masks(cell: RecordedCell, seed: int, max_masks: int) -> CellSpikes:
    sweeps = cell.current.sweeps if cell.current else []
    trigger_pa = cell.current.trigger_pa if cell.current else domain.TRIGGER_PA
    starts = np.cumsum([0, *map(len, sweeps)])
    stretches = [
        noise_masks.find_quiet_stretches(current_pa, found, trigger_pa) + start
        for current_pa, found, start in zip(sweeps, cell.spikes.found, starts[:-1], strict=True)
    ]
    mask_starts = noise_masks.choose_starts(
        np.concatenate([np.empty(0, np.int64), *stretches]), max_masks, seed, cell.cell_id
    )
    return CellSpikes(
        cell.spikes.waveforms, cell.spikes.triggers, noise_masks.cut_masks(sweeps, mask_starts), mask_starts
    )


def read_cells(
    files: RecordingFiles, options: ReadingOptions, local_copy: LocalCopy = contextlib.nullcontext
) -> list[tuple[RecordedCell | None, ExtractionReport]]:
    """Reads the files of one cell, or the one file of several cells, and finds the spikes.

    Parameters
    ----------
    files : the cell's files.
    options : how recordings are read and spikes cut.
    local_copy : gives a local path for a file that is on another file system.

    Returns
    -------
    The cell and its report, for each cell in the files; None in place of a cell that was rejected. A bad file never
    raises.
    """
    cells: list[tuple[RecordedCell | None, ExtractionReport]] = []
    used_path = None
    for candidate in (files, *files.spares):
        if used_path is not None:
            rejected = tuple(duplicate_cell(path, files.cell_id, used_path) for path in candidate.paths)
            cells.append((None, ExtractionReport(rejected=rejected)))
        elif candidate.is_recording:
            cells.extend(_read_recording(candidate, options, local_copy))
        else:
            cells.append(_read_csvs(candidate, options, local_copy))
        used_path = used_path or next((cell.path for cell, _ in cells if cell is not None), None)
    return cells


def _read_recording(
    files: RecordingFiles, options: ReadingOptions, local_copy: LocalCopy
) -> Iterator[tuple[RecordedCell | None, ExtractionReport]]:
    (path,) = files.paths
    try:
        # A fault of the store that a file is copied from is not one of the recording.
        with local_copy(path) as local_path, rejecting_faults():
            recordings = read_recordings(local_path, options)
            if is_one_cell(path):
                currents = [current for current in recordings if isinstance(current, Recording)]
                yield _find_cell(files.cell_id, path, currents, options)
                return
            for recording in recordings:
                yield _find_one_of_several(files.cell_id, path, recording, options)
    except RecordingRejected as error:
        yield None, rejection_report(RejectedFile(path, error.reason, error.detail))


def _find_one_of_several(
    file_id: str, path: str, recording: Recording | RecordingRejected, options: ReadingOptions
) -> tuple[RecordedCell | None, ExtractionReport]:
    """Finds the spikes of one of the cells in a file."""
    if isinstance(recording, RecordingRejected):
        return None, rejection_report(RejectedFile(path, recording.reason, recording.detail))
    if not recording.channel:
        return _find_cell(file_id, path, [recording], options)
    cell, report = _find_cell(composed(f'{file_id}#{recording.channel}'), path, [recording], options)
    # All are of the same file: the name of the series tells them apart.
    rejected = tuple(
        dataclasses.replace(file, detail=f'{recording.channel}: {file.detail}') for file in report.rejected
    )
    return cell, dataclasses.replace(report, rejected=rejected)


def _find_cell(
    cell_id: str, path: str, recordings: Sequence[Recording], options: ReadingOptions
) -> tuple[RecordedCell | None, ExtractionReport]:
    """Finds the spikes of one cell in the currents of a file."""
    try:
        with rejecting_faults():  # Here, because the other cells of the file are not affected.
            check_cell_id(cell_id)
            recording, current, spikes = choose_current(recordings, options.cutting)
    except RecordingRejected as error:
        return None, rejection_report(RejectedFile(path, error.reason, error.detail))
    found, kept = spikes.triggers_found, len(spikes.triggers)
    if not kept:
        rejected = RejectedFile(path, *explain_no_spikes(spikes, current, options.cutting))
        return None, ExtractionReport(
            0, (rejected,), found, 0, found, recording.duration_s, dropped_by_reason=spikes.dropped
        )
    made = collections.Counter[str]() if recording.source == RECORDED else collections.Counter([recording.source])
    report = ExtractionReport(
        1, (), found, kept, found - kept, recording.duration_s, made, spikes.dropped, spikes.second_spikes
    )
    return RecordedCell(cell_id, path, spikes, recording, current, len(recordings) > 1), report


def choose_current(
    recordings: Sequence[Recording], cutting: SpikeCutting
) -> tuple[Recording, PreparedCurrent, DetectedSpikes]:
    """Finds the spikes in the one current of a cell; in that which spikes, if its file has several.

    Parameters
    ----------
    recordings : the currents, at least one.
    cutting : how spikes are found.

    Returns
    -------
    The current, as it was recorded and as it was searched, and its spikes, perhaps none.

    Raises
    ------
    RecordingRejected
        If several currents spike, or none of several; or see ``preparation.find_spikes``.
    """
    found = []
    for recording in recordings:
        found.append((recording, *find_spikes(recording.sweeps, cutting, recording.stimulus_steps)))
    if len(found) == 1:
        return found[0]
    spiking = [channel for channel in found if len(channel[2].triggers)]
    if len(spiking) != 1:
        raise RecordingRejected('wrong_unit', several_currents_detail([channel[0].channel for channel in found]))
    return spiking[0]


def _read_csvs(
    files: RecordingFiles, options: ReadingOptions, local_copy: LocalCopy
) -> tuple[RecordedCell | None, ExtractionReport]:
    waveform_of: dict[int, np.ndarray] = {}
    rejected = []
    any_inverted = False
    for path in files.paths:
        try:
            trigger = parse_file_name(os.path.basename(path), files.cell_id)
            if trigger in waveform_of:
                raise RecordingRejected('bad_name', f'trigger {trigger} comes twice')
            with local_copy(path) as local_path, rejecting_faults():
                window_pa = read_spike_csv(local_path)
                waveform_of[trigger], is_inverted = prepare_window(window_pa, options.cutting)
            any_inverted = any_inverted or is_inverted
        except RecordingRejected as error:
            rejected.append(RejectedFile(path, error.reason, error.detail))
    spikes = len(waveform_of)
    report = ExtractionReport(spikes, tuple(rejected), spikes, spikes)
    if not spikes:
        return None, report
    triggers = np.array(sorted(waveform_of), np.int64)
    waveforms = np.stack([waveform_of[trigger] for trigger in triggers.tolist()])
    spikes_of_cell = DetectedSpikes(waveforms, triggers)
    folder = os.path.dirname(files.paths[0])
    return RecordedCell(files.cell_id, folder, spikes_of_cell, csvs_inverted=any_inverted), report
