"""The part of the Beam job that finds the recordings, reads them and stages their spikes."""

import contextlib
import dataclasses
import hashlib
import itertools
from collections.abc import Collection, Iterator
from typing import Literal

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam_pipelines import domain
from beam_pipelines.datasets.configs import ARRAYS
from beam_pipelines.errors import UserError
from beam_pipelines.planning.array_plan import IngestedArrays
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import IngestedCell
from beam_pipelines.recordings.cell_files import RecordingFiles, group_files, is_ignored
from beam_pipelines.recordings.folder_names import check_recordings_root, explain_missing_recordings
from beam_pipelines.recordings.published_arrays import ArrayFiles, SpikeArrays, group_arrays
from beam_pipelines.recordings.rejection import RecordingRejected, RejectedFile
from beam_pipelines.recordings.sources import MADE, RECORDED
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.spikes.extraction import ExtractionReport, extract_cells, rejection_report
from beam_pipelines.storage import files
from beam_pipelines.storage.atomic_files import with_file
from beam_pipelines.transforms.job import HERE, Job
from beam_pipelines.transforms.paths import BuildPaths

_UNUSABLE: Literal['unusable'] = 'unusable'


def find_recordings(
    root: str, recording_sets: Collection[str]
) -> tuple[list[RecordingFiles], list[tuple[str, RejectedFile]]]:
    """Finds the recordings of some recording sets, and the files that cannot be recordings.

    It always looks at all sets, so that a cell of ``original`` cannot also enter ``non_homogeneous`` when the two are
    built separately.

    Parameters
    ----------
    root : the recordings root.
    recording_sets : the sets needed, from ``domain.RECORDING_SETS``.

    Returns
    -------
    See ``cell_files.group_files``.

    Raises
    ------
    UserError
        If a needed folder has no recordings, or a folder cannot be read.
    """
    check_recordings_root(root)
    found: list[tuple[str, int, str]] = []
    for recording_set in domain.RECORDING_SETS:
        for label, name in enumerate(domain.LABEL_NAMES):
            folder = FileSystems.join(root, recording_set, name)
            try:
                paths = [path for path in files.list_files(folder) if not is_ignored(path)]
            except OSError as error:
                raise UserError(f'{error.filename or folder}: {error.strerror or error}') from error
            if not paths and recording_set in recording_sets:
                raise UserError(
                    explain_missing_recordings(root, recording_set, name, _folders_in)
                    or f'{folder}: no recordings; expected CELL.abf or CELL/CELL_trigger_N.csv, or other --configs'
                )
            found.extend((recording_set, label, path) for path in paths)
    recordings, rejected = group_files(found)
    return (
        [recording for recording in recordings if recording.recording_set in recording_sets],
        [(recording_set, file) for recording_set, file in rejected if recording_set in recording_sets],
    )


def _folders_in(folder: str) -> list[str]:
    # A folder beside the recordings that may not be read is none of theirs.
    with contextlib.suppress(OSError):
        return files.list_folders(folder)
    return []


def find_inputs(
    root: str, recording_sets: Collection[str]
) -> tuple[list[RecordingFiles | ArrayFiles], list[tuple[str, RejectedFile]]]:
    """Finds all that some recording sets are made from; see ``find_recordings`` and ``published_arrays.group_arrays``.

    Raises
    ------
    UserError
        If a needed folder has no files or cannot be read, or the published arrays are not on a local file system.
    """
    recordings, rejected = find_recordings(root, recording_sets)
    if ARRAYS not in recording_sets:
        return [*recordings], rejected
    folder = FileSystems.join(root, ARRAYS)
    if not files.is_local(root):
        raise UserError(f'{folder}: is mapped into memory; copy it to a local or mounted folder')
    try:
        paths = [path for path in files.list_files(folder) if not is_ignored(path)]
    except OSError as error:
        raise UserError(f'{error.filename or folder}: {error.strerror or error}') from error
    if not paths:
        raise UserError(f'{folder}: no files; expected NAME_observations.npy, NAME_labels.npy and NAME_cells.npy')
    arrays, unusable = group_arrays(paths)
    return [*recordings, *arrays], [*rejected, *((ARRAYS, file) for file in unusable)]


def source_of_root(root: str) -> str:
    """Returns ``recorded``, or what ``sero-simulate`` made the recordings below a root of."""
    return next((made.name for made in MADE if files.exists(FileSystems.join(root, made.root_file))), RECORDED)


@dataclasses.dataclass(frozen=True)
class IngestResult:
    """The result of reading some files of one recording set.

    Attributes
    ----------
    recording_set : ``original`` or ``non_homogeneous``.
    report : counts of the files and their triggers.
    cell : the cell; None if every file was rejected.
    arrays : the published synthetic spikes in the files, if they hold any.
    error : why the files could not be read or the spikes staged: a storage fault, not a fault of the recording.
    """

    recording_set: str
    report: ExtractionReport
    cell: IngestedCell | None = None
    arrays: IngestedArrays | None = None
    error: str | None = None


@dataclasses.dataclass
class FindAndIngest(beam.PTransform):
    """Finds recordings, reads them and stages the spikes of each cell: recordings roots -> ``IngestResult``.

    A worker lists the files. So the size of the job's description does not depend on their number, and a job stored as
    a template reads the files that exist when it runs.

    Attributes
    ----------
    options : the build's options.
    job : how the job runs.
    """

    options: BuildOptions
    job: Job = HERE

    def expand(self, roots: beam.PCollection[str]) -> beam.PCollection[IngestResult]:
        recordings, unusable = roots | 'FindRecordings' >> beam.ParDo(_Find(self.options, self.job)).with_outputs(
            _UNUSABLE, main='recordings'
        )
        ingested = recordings | 'Recordings' >> IngestRecordings(self.options, self.job)
        return (ingested, unusable) | 'AllFiles' >> beam.Flatten() | 'CountFiles' >> beam.ParDo(_CountFiles())


class _Find(beam.DoFn):
    def __init__(self, options: BuildOptions, job: Job):
        self._options = options
        self._job = job

    def process(
        self, root: str
    ) -> Iterator[RecordingFiles | ArrayFiles | beam.pvalue.TaggedOutput[Literal['unusable'], IngestResult]]:
        recordings, unusable = _find(root, self._options.recording_sets, self._job)
        yield from recordings
        for result in unusable:
            yield beam.pvalue.TaggedOutput(_UNUSABLE, result)


def _find(
    root: str, recording_sets: Collection[str], job: Job
) -> tuple[list[RecordingFiles | ArrayFiles], list[IngestResult]]:
    """Returns the recordings, and the results for what cannot be one."""
    try:
        recordings, rejected = find_inputs(root, recording_sets)
    except UserError as error:
        nothing, reason = ExtractionReport(0, (), 0, 0, 0, 0.0), job.reason(error, root)
        return [], [IngestResult(recording_set, nothing, error=reason) for recording_set in recording_sets]
    return recordings, [IngestResult(recording_set, rejection_report(file)) for recording_set, file in rejected]


def find_and_ingest_here(options: BuildOptions, job: Job) -> list[IngestResult]:
    """Does as ``FindAndIngest``, one recording after the other in this process."""
    recordings, unusable = _find(options.recordings, options.recording_sets, job)
    ingest, count = _Ingest(options, job), _CountFiles()
    results = itertools.chain(itertools.chain.from_iterable(map(ingest.process, recordings)), unusable)
    return list(itertools.chain.from_iterable(map(count.process, results)))


@dataclasses.dataclass
class IngestRecordings(beam.PTransform):
    """Reads recordings and stages the spikes of each cell: ``RecordingFiles`` or ``ArrayFiles`` -> ``IngestResult``.

    Attributes
    ----------
    options : the build's options.
    job : how the job runs.
    """

    options: BuildOptions
    job: Job

    def expand(self, recordings: beam.PCollection[RecordingFiles | ArrayFiles]) -> beam.PCollection[IngestResult]:
        reading = beam.ParDo(_Ingest(self.options, self.job))
        return recordings | 'SpreadRecordings' >> beam.Reshuffle() | 'ReadRecording' >> reading


class _Ingest(beam.DoFn):
    def __init__(self, options: BuildOptions, job: Job):
        self._options = options
        self._job = job

    def process(self, recording: RecordingFiles | ArrayFiles) -> Iterator[IngestResult]:
        options = self._options
        if isinstance(recording, ArrayFiles):
            yield ingest_arrays(recording)
            return
        try:
            cells = extract_cells(recording, options.seed, options.num_masks, options.reading, files.local_copy)
            for cell_id, spikes, report in cells:
                yield self._stage(dataclasses.replace(recording, cell_id=cell_id), spikes, report)
        except OSError as error:  # A storage fault; faults of the recording itself are in the report.
            reason = self._job.reason(error, recording.paths[0])
            yield IngestResult(recording.recording_set, ExtractionReport(0, (), 0, 0, 0, 0.0), error=reason)

    def _stage(self, recording: RecordingFiles, spikes: CellSpikes | None, report: ExtractionReport) -> IngestResult:
        """Writes the spikes of a cell to the staging folder."""
        if spikes is None:
            return IngestResult(recording.recording_set, report)
        name = hashlib.sha256(recording.cell_id.encode()).hexdigest()[:32]
        staged = FileSystems.join(BuildPaths(self._options.data_dir).staging, f'{name}.spikes')
        try:
            # Not flushed: a build that goes on after a power cut stages all spikes anew.
            files.write_bytes(staged, spikes.to_bytes(), flushed=False)
        except OSError as error:
            reason = self._job.reason(with_file(error, staged), staged)
            return IngestResult(recording.recording_set, report, error=reason)
        cell = IngestedCell(
            recording.recording_set,
            recording.label,
            recording.cell_id,
            staged,
            spikes.fingerprint(),
            len(spikes.masks),
            report,
            spikes.spikes_fingerprint(),
        )
        return IngestResult(recording.recording_set, report, cell)


def ingest_arrays(arrays: ArrayFiles) -> IngestResult:
    """Counts the spikes of each cell in a set of published arrays."""
    try:
        mapped = SpikeArrays(arrays)
        spikes = mapped.count_spikes()
        ingested = IngestedArrays(arrays, spikes, mapped.fingerprint())
    except RecordingRejected as error:
        rejected = tuple(RejectedFile(path, error.reason, error.detail) for path in arrays.paths)
        return IngestResult(ARRAYS, ExtractionReport(rejected=rejected))
    report = ExtractionReport(len(arrays.paths), (), len(mapped), len(mapped))
    return IngestResult(ARRAYS, report, arrays=ingested)


class _CountFiles(beam.DoFn):
    """Counts used and rejected files, and detected and dropped spikes."""

    def process(self, result: IngestResult) -> Iterator[IngestResult]:
        report = result.report
        beam.metrics.Metrics.counter('recordings', 'used').inc(result.cell is not None or result.arrays is not None)
        beam.metrics.Metrics.counter('recordings', 'rejected').inc(len(report.rejected))
        for file in report.rejected:
            beam.metrics.Metrics.counter('rejected', file.reason).inc()
        beam.metrics.Metrics.counter('spikes', 'detected').inc(report.spikes)
        beam.metrics.Metrics.counter('spikes', 'dropped').inc(report.dropped)
        yield result
