"""A trained ensemble with its calibration and training range, ready to classify new cells."""

from __future__ import annotations

import dataclasses
import os

import msgspec
import numpy as np

from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.sources import Source, find_source
from beam_pipelines.spikes.waveform_features import measure_amplitude_pa, measure_firing_rate_hz
from trainer.classify import saliency
from trainer.classify.measured_cell import MeasuredCell, measure_current
from trainer.classify.out_of_distribution import CellTraits, is_unlike_all, training_warnings
from trainer.errors import ModelError
from trainer.evaluation import calibration as calibrations
from trainer.evaluation import training_range
from trainer.evaluation.results import CellResult, Classification, ClassifiedCell, ClassifiedSpikes
from trainer.evaluation.verdicts import classify_cell, spike_p_ser, undecided_rule
from trainer.models import model_info
from trainer.models.ensemble import uses_xla
from trainer.models.scoring import score_spikes
from trainer.models.trained import TrainedEnsemble, load_ensemble


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Classifies cells.

    Attributes
    ----------
    ensemble, calibration, training_range : of a finished run.
    """

    ensemble: TrainedEnsemble
    calibration: calibrations.Calibration
    training_range: training_range.TrainingRange

    @property
    def source(self) -> Source | None:
        """What made the recordings that the model was trained on; None if they were recorded."""
        return find_source([self.ensemble.info.source])

    @property
    def description(self) -> dict:
        """The content of ``model_info.json`` with ``title``, ``calibration`` and ``undecided_rule``, for reports."""
        return self.ensemble.info.to_json() | {
            'title': self.ensemble.title,
            'calibration': dataclasses.asdict(self.calibration),
            'undecided_rule': undecided_rule(self.calibration),
        }

    def classify(self, current_pa: np.ndarray, sampling_rate_hz: float, resample: bool = False) -> Classification:
        """Classifies one cell by a current in memory.

        Parameters
        ----------
        current_pa : (n,) array of numbers, the current of a loose-patch recording in pA, spikes downward.
        sampling_rate_hz : 40,000, the rate of the recordings that the model was trained on.
        resample : accept other rates, from 10,000 Hz on.

        Raises
        ------
        RecordingRejected
            If the rate is not accepted, a value is not finite, or nothing comes down to -50 pA.
        ValueError
            If the current is not a one-dimensional array of numbers.
        """
        cutting = msgspec.structs.replace(self.ensemble.info.cutting, polarity='auto')
        options = ReadingOptions(resample, cutting=cutting)
        result, spikes, warnings = self._classify(measure_current(current_pa, sampling_rate_hz, options))
        if made := self.source:
            warnings += (
                f'The model was trained on {made.recordings}; its verdict says nothing about {made.not_about}.',
            )
        return Classification(
            result.verdict,
            result.p_ser,
            result.p_ser_low,
            result.p_ser_high,
            result.n_spikes,
            result.udi_ms,
            warnings,
            spikes,
        )

    def classify_cell(self, cell: MeasuredCell) -> ClassifiedCell:
        """Classifies a cell that was read from files, with the evidence for the verdict."""
        result, spikes, warnings = self._classify(cell)
        if cell.cell in (self.ensemble.info.train_cells or ()):
            warnings += (
                f'The model was trained on a cell of this name ({cell.cell}): if it is the same cell, the model has'
                ' learnt it by heart, and the verdict proves nothing.',
            )
        baseline = saliency.midway_spikes(self.training_range, result.mean_waveform)
        return ClassifiedCell(
            cell.path,
            result,
            spikes,
            cell.trace,
            cell.duration_s,
            saliency.consensus_saliency(self.ensemble.model, result.mean_waveform, baseline),
            warnings,
            cell.source,
            cell.intervals_s,
        )

    def _classify(self, cell: MeasuredCell) -> tuple[CellResult, ClassifiedSpikes, tuple[str, ...]]:
        scores = score_spikes(self.ensemble.model, cell.waveform)
        result = classify_cell(scores, cell.waveform, self.calibration, cell.cell)
        traits = CellTraits(
            result.mean_waveform,
            result.udi_ms,
            float(measure_amplitude_pa(result.mean_waveform)),
            float(np.median(cell.measures.noise_pa)),
            measure_firing_rate_hz(cell.trigger),
            len(cell.trigger),
            cell.sampling_rate_hz,
        )
        spikes = ClassifiedSpikes(
            cell.trigger,
            cell.time_s,
            cell.waveform,
            spike_p_ser(scores),
            cell.measures.amplitude_pa,
            cell.measures.udi_ms,
            cell.measures.snr,
        )
        if is_unlike_all(traits, self.training_range):
            result = dataclasses.replace(result, verdict='undecided')
        return result, spikes, cell.warnings + training_warnings(traits, self.training_range)


def load_classifier(workdir: str) -> Classifier:
    """Loads a finished run of ``sero-train``.

    Raises
    ------
    UserError
        If the folder holds no finished run, or a damaged one.
    """
    info = model_info.read(workdir)
    if not info.finished:
        path = os.path.join(workdir, model_info.FILE_NAME)
        raise ModelError(f'{path}: the training was interrupted; sero-train goes on with it')
    ensemble = load_ensemble(workdir)
    # Otherwise Keras may compile with XLA, which would delay the first verdict.
    ensemble.model.compile(jit_compile=uses_xla())
    return Classifier(ensemble, calibrations.load(workdir), training_range.load(workdir))
