"""A trained ensemble with its calibration and training range, ready to judge cells that are in no dataset."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from beam_pipelines import domain
from beam_pipelines.spikes.waveform_features import measure_amplitude_pa, measure_firing_rate_hz, measure_udi_ms
from trainer.classify import Classification, saliency
from trainer.classify.measured_cell import MeasuredCell, measure_current
from trainer.classify.out_of_distribution import CellTraits, training_warnings
from trainer.errors import ModelError
from trainer.evaluation import calibration as calibrations
from trainer.evaluation import training_range
from trainer.evaluation.classified_cell import ClassifiedCell, ClassifiedSpikes
from trainer.evaluation.results import CellResult
from trainer.evaluation.verdicts import judge_cell, spike_p_ser
from trainer.models import model_info
from trainer.models.ensemble import uses_xla
from trainer.models.scoring import score_spikes
from trainer.models.trained import TrainedEnsemble, load_ensemble

# The bootstrap of every cell: a recording has the same interval alone, among others, and from Python.
_SEED = 0

_SIMULATED_MODEL = 'The model was trained on SIMULATED recordings; its verdict says nothing about real neurons.'


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Judges cells.

    Attributes
    ----------
    ensemble, calibration, training_range : of a run that has ended.
    """

    ensemble: TrainedEnsemble
    calibration: calibrations.Calibration
    training_range: training_range.TrainingRange

    @property
    def is_simulated(self) -> bool:
        """Whether the model was trained on simulated recordings."""
        return self.ensemble.info['source'] == 'simulated'

    def classify(self, current_pa: np.ndarray, sampling_rate_hz: float, resample: bool = False) -> Classification:
        """Judges one cell.

        Parameters
        ----------
        current_pa : (n,) array of numbers, the current of a loose-patch recording in pA, spikes downward.
        sampling_rate_hz : 40,000, which the model was trained on.
        resample : take other rates, from 10,000 Hz on.

        Raises
        ------
        RecordingRejected
            If the rate is another, a value is not finite, or nothing comes down to -50 pA.
        ValueError
            If the current is not a row of numbers.
        """
        result, spikes, warnings = self._judge(measure_current(current_pa, sampling_rate_hz, resample))
        if self.is_simulated:
            warnings += (_SIMULATED_MODEL,)
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

    def judge(self, cell: MeasuredCell) -> ClassifiedCell:
        """Judges a cell that was read from files, and says why."""
        result, spikes, warnings = self._judge(cell)
        if cell.cell in (self.ensemble.info['train_cells'] or ()):
            warnings += (
                f'The model was trained on a cell of this name ({cell.cell}): if it is the same, the verdict was'
                ' learnt by heart and proves nothing.',
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
            cell.is_simulated,
        )

    def _judge(self, cell: MeasuredCell) -> tuple[CellResult, ClassifiedSpikes, tuple[str, ...]]:
        scores = score_spikes(self.ensemble.model, cell.waveform)
        verdict = judge_cell(scores, self.calibration, _SEED)
        mean_waveform = cell.waveform.mean(axis=0)
        traits = CellTraits(
            mean_waveform,
            measure_udi_ms(mean_waveform, domain.SAMPLING_RATE_HZ),
            float(measure_amplitude_pa(mean_waveform)),
            float(np.median(cell.measures.noise_pa)),
            measure_firing_rate_hz(cell.trigger),
            len(cell.trigger),
            cell.sampling_rate_hz,
        )
        result = CellResult(
            cell=cell.cell,
            **dataclasses.asdict(verdict),
            n_spikes=traits.n_spikes,
            udi_ms=traits.udi_ms,
            label=None,
            mean_waveform=mean_waveform,
        )
        spikes = ClassifiedSpikes(
            cell.trigger,
            cell.trigger / domain.SAMPLING_RATE_HZ,
            cell.waveform,
            spike_p_ser(scores),
            cell.measures.amplitude_pa,
            cell.measures.udi_ms,
            cell.measures.snr,
        )
        return result, spikes, training_warnings(traits, self.training_range)


def load_classifier(workdir: str) -> Classifier:
    """Loads what a run of ``sero-train`` has left.

    Raises
    ------
    ModelError, CalibrationError, UserError
        If the folder holds no run that has ended, or a damaged one.
    """
    info = model_info.read(workdir)
    path = os.path.join(workdir, model_info.FILE_NAME)
    needed = ('source', 'trained_on', 'members', 'train_cells', 'finished')
    missing = [field for field in needed if not isinstance(info, dict) or field not in info]
    if missing:
        raise ModelError(f'{path}: has no field {missing[0]}')
    if not info['finished']:
        raise ModelError(f'{path}: the training was interrupted; sero-train goes on with it')
    ensemble = load_ensemble(workdir)
    # Without this Keras compiles by XLA, for which a first recording would wait.
    ensemble.model.compile(jit_compile=uses_xla())
    return Classifier(ensemble, calibrations.load(workdir), training_range.load(workdir))
