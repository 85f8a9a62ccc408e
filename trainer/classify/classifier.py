"""A trained ensemble with its calibration and training range, ready to classify new cells."""

from __future__ import annotations

import dataclasses
import os

import msgspec
import numpy as np

from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.library_objects import read_library_object
from beam_pipelines.recordings.numbers_with_units import read_current_pa, read_rate_hz
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected, RejectedFile
from beam_pipelines.recordings.sources import Source, find_source
from trainer.classify import saliency
from trainer.classify.measured_cell import MeasuredCell, measure_currents, read_measured_cells
from trainer.classify.python_arguments import naming_arguments, with_arguments
from trainer.errors import ModelError
from trainer.evaluation import calibration as calibrations
from trainer.evaluation import firing as firing_model
from trainer.evaluation import training_range
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.out_of_distribution import training_warnings
from trainer.evaluation.results import CellResult, Classification, ClassifiedCell, ClassifiedSpikes
from trainer.evaluation.stored_warnings import trained_on_warning
from trainer.evaluation.verdicts import classify_cell, spike_p_ser, undecided_rule, why_undecided, with_warnings
from trainer.models import model_info
from trainer.models.model_info import ModelInfo
from trainer.models.scorers import SpikeScorer, load_scorer


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Classifies cells.

    Attributes
    ----------
    info, calibration, training_range : of a finished run.
    scorer : its members.
    firing : of the run, for ``p_ser_with_firing``; None: it is left out.
    path : of the run, as the user has named it.
    """

    info: ModelInfo
    scorer: SpikeScorer
    calibration: calibrations.Calibration
    training_range: training_range.TrainingRange
    firing: firing_model.FiringModel | None = None
    path: str = ''

    @property
    def source(self) -> Source | None:
        """What made the recordings that the model was trained on; None if they were recorded."""
        return find_source([self.info.source])

    @property
    def description(self) -> dict:
        """The content of ``model_info.json`` with ``title``, ``path``, ``calibration`` and ``undecided_rule``."""
        return self.info.to_json() | {
            'title': self.info.title,
            'path': self.path,
            'calibration': dataclasses.asdict(self.calibration),
            'undecided_rule': undecided_rule(self.calibration),
        }

    def classify(self, current_pa: np.ndarray, sampling_rate_hz: float, resample: bool = False) -> Classification:
        """Classifies one cell by a current in memory.

        Parameters
        ----------
        current_pa : (n,) array of numbers, the current of a loose-patch recording in pA, spikes downward. Numbers with
            a unit, as of quantities, pint and astropy, are converted.
        sampling_rate_hz : 40,000, the rate of the recordings that the model was trained on; with a unit too.
        resample : accept other rates, from 10,000 Hz on.

        Raises
        ------
        RecordingRejected
            If the rate or a unit is not accepted, a value is not finite, or nothing comes down to -50 pA.
        ValueError
            If the current is not a one-dimensional array of numbers, or the rate is no number.
        """
        with naming_arguments():
            current = RecordedCurrent([read_current_pa(current_pa)], read_rate_hz(sampling_rate_hz))
            return self._classification(measure_currents([current], self._options(resample)))

    def classify_recording(
        self, recording: object, channel: str | int | None = None, resample: bool = False
    ) -> Classification:
        """Classifies one cell by its file, or by a recording of neo or SpikeInterface, as that file would be.

        Parameters
        ----------
        recording : a path; or a SpikeInterface ``BaseRecording``, or a neo ``Segment``, ``Block`` or ``AnalogSignal``.
            Segments of a recording or block are the sweeps of the cell.
        channel : name or number (from 0) of the channel to read; None: the one in pA, or if there is none, in amperes
            with any SI prefix. The units of a SpikeInterface recording are its properties ``physical_unit``,
            ``gain_to_physical_unit`` and ``offset_to_physical_unit``.
        resample : accept other rates than 40,000 Hz, from 10,000 Hz on.

        Raises
        ------
        RecordingRejected
            If it holds no current, or several with spikes and ``channel`` names none; if its unit or gain is not
            known; if a file cannot be read or holds several cells; or as ``classify`` does.
        TypeError
            If it is none of these.
        """
        options = self._options(resample, channel)
        with naming_arguments():
            if isinstance(recording, (str, os.PathLike)):
                return self._classification(_read_one_cell(recording, options))
            currents = read_library_object(recording, options.channel)
            return self._classification(measure_currents(currents, options))

    def _options(self, resample: bool, channel: str | int | None = None) -> ReadingOptions:
        cutting = msgspec.structs.replace(self.info.cutting, polarity='auto')
        return ReadingOptions(resample, None if channel is None else str(channel), cutting)

    def _classification(self, cell: MeasuredCell) -> Classification:
        result, spikes = self._classify(cell)
        warnings = result.warnings
        if made := self.source:
            sentence = f'The model was trained on {made.recordings}; its verdict says nothing about {made.not_about}.'
            warnings += (CellWarning('simulated_training', sentence),)
        return Classification(
            result.verdict,
            why_undecided(result, self.calibration),
            result.p_ser,
            result.p_ser_low,
            result.p_ser_high,
            result.n_spikes,
            result.udi_ms,
            tuple(map(str, warnings)),
            tuple(warning.code for warning in warnings),
            spikes,
        )

    def classify_nwb_units(
        self,
        path: str | os.PathLike[str],
        channel: str | int | None = None,
        resample: bool = False,
        replace: bool = False,
    ) -> list[CellResult]:
        """Classifies the cells in an NWB file and adds the verdicts to it, as columns ``sero_...`` of its units.

        The file is replaced by a copy with these columns, or stays as it is. What has it open for reading shows the
        earlier content.

        Parameters
        ----------
        path : of the file. Each unit must be a cell of its own: most of its ``spike_times`` spikes of one current.
        channel : name or number (from 0) of the one electrode or series to read; None: all that hold a current.
        resample : accept other rates than 40,000 Hz, from 10,000 Hz on.
        replace : replace verdicts that are there already.

        Returns
        -------
        The verdicts, in the order of the units.

        Raises
        ------
        UserError
            If the file cannot be written, is open for writing (in this process too) or has no units, a unit is no
            cell, or there are verdicts already.
        OSError
            If the copy cannot be written.
        """
        from trainer.classify.nwb_verdicts import adding_verdicts, read_tables

        path = os.path.abspath(path)
        (table,) = read_tables([path], 'replace' if replace else 'add')
        measured, rejected = _read_file(path, self._options(resample, channel))
        cells = [self.classify_cell(cell) for cell in measured]
        rejected = [dataclasses.replace(file, detail=with_arguments(file.detail)) for file in rejected]
        with adding_verdicts([table], cells, rejected, self.description) as (of_units,):
            return [cell.result for cell in of_units]

    def classify_cell(self, cell: MeasuredCell) -> ClassifiedCell:
        """Classifies a cell that was read from files, with the evidence for the verdict."""
        result, spikes = self._classify(cell)
        if seen := trained_on_warning(cell.cell, self.info.train_cells or ()):
            result = with_warnings(result, (*result.warnings, seen))
        baseline = saliency.midway_spikes(self.training_range, result.mean_waveform)
        return ClassifiedCell(
            cell.path,
            result,
            spikes,
            cell.trace,
            cell.duration_s,
            saliency.consensus_saliency(self.scorer, result.mean_waveform, baseline),
            cell.source,
            cell.intervals_s,
            cell.start_s,
            cell.started,
        )

    def _classify(self, cell: MeasuredCell) -> tuple[CellResult, ClassifiedSpikes]:
        scores = self.scorer.score(cell.waveform)
        result = classify_cell(scores, cell.waveform, self.calibration, cell.cell)
        result = firing_model.with_firing(result, cell.trigger, self.firing)
        traits = training_range.measure_traits(cell.waveform, cell.trigger, cell.sampling_rate_hz)
        spikes = ClassifiedSpikes(
            cell.trigger,
            cell.time_s,
            cell.waveform,
            spike_p_ser(scores),
            cell.measures.amplitude_pa,
            cell.measures.udi_ms,
            cell.measures.snr,
        )
        return with_warnings(result, cell.warnings + training_warnings(traits, self.training_range)), spikes


def _read_file(path: str, options: ReadingOptions) -> tuple[list[MeasuredCell], list[RejectedFile]]:
    """Returns the cells of a file and what was rejected of it."""
    recordings, of_no_cell = group_files([('original', 0, path)])
    read = [cell for files in recordings for cell in read_measured_cells(files, options)]
    rejected = [file for _, file in of_no_cell] + [file for _, report in read for file in report.rejected]
    return [cell for cell, _ in read if cell is not None], rejected


def _read_one_cell(path: str | os.PathLike[str], options: ReadingOptions) -> MeasuredCell:
    path = os.path.abspath(path)
    if os.path.isdir(path):
        raise RecordingRejected('unknown_format', f'{path}: a folder; name one recording, or call sero-classify')
    cells, rejected = _read_file(path, options)
    if len(cells) == 1:
        return cells[0]
    if cells:
        names = ', '.join(cell.cell for cell in cells)
        raise RecordingRejected('wrong_unit', f'{path}: holds {len(cells)} cells, {names}; name one with --channel')
    if not rejected:
        raise RecordingRejected('unknown_format', f'{path}: hidden, or a file that lies beside recordings')
    raise RecordingRejected(rejected[0].reason, f'{path}: {rejected[0].detail}')


def load_classifier(workdir: str, with_firing: bool = False) -> Classifier:
    """Loads a finished run of ``sero-train``.

    Parameters
    ----------
    workdir : of the run.
    with_firing : whether cells get a ``p_ser_with_firing`` too.

    Raises
    ------
    UserError
        If the folder holds no finished run, or a damaged one, or one that needs Keras where that is not installed.
    """
    info = model_info.read(workdir)
    if not info.finished:
        path = os.path.join(workdir, model_info.FILE_NAME)
        raise ModelError(f'{path}: the training was interrupted; sero-train goes on with it')
    scorer = load_scorer(workdir, info)
    of_firing = firing_model.load(workdir) if with_firing else None
    return Classifier(info, scorer, calibrations.load(workdir), training_range.load(workdir), of_firing, workdir)
