"""What a run leaves when it has ended: what its members are worth, how far to trust them, and their consensus."""

from __future__ import annotations

import math

import numpy as np

from trainer.data.stored_dataset import StoredSplit
from trainer.evaluation import calibration, training_range
from trainer.evaluation.evaluator import calibrate
from trainer.evaluation.metrics import binary_metrics
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models import exported_consensus, model_info
from trainer.models.ensemble import join_members
from trainer.models.scoring import score_split
from trainer.models.trained import TrainedEnsemble, load_members


def complete_run(workdir: str, info: dict, validation_split: StoredSplit, recorded_split: StoredSplit) -> dict:
    """Writes what a run leaves of its saved members, unless that is there already.

    Parameters
    ----------
    workdir : of a run that has ended.
    info : the content of ``model_info.json`` so far.
    validation_split : the members are measured on it, and their consensus is calibrated on its cells.
    recorded_split : ``original/train``, with which new recordings are compared.

    Returns
    -------
    The content of ``model_info.json``, with ``validation``: accuracy and AUC of the spikes' calls, of each member and
    of the consensus.

    Raises
    ------
    ModelError
        If a member is missing or damaged.
    UserError
        If a shard has changed since it was opened.
    """
    if not exported_consensus.is_written(workdir):
        _write(workdir, info, validation_split, recorded_split)
    return model_info.read(workdir)


def _write(workdir: str, info: dict, validation_split: StoredSplit, recorded_split: StoredSplit) -> None:
    members = load_members(workdir, info['members'])
    ensemble = TrainedEnsemble(join_members(members), info)
    spikes = score_split(ensemble, validation_split)
    scores = {name: spikes.scores[:, [position]] for position, name in enumerate(ensemble.model.output_names)} | {
        'consensus': spikes.scores
    }
    validation = {name: _accuracy_and_auc(part, spikes.label) for name, part in scores.items()}
    model_info.write(workdir, info | {'validation': validation})
    calibration.write(workdir, calibrate(spikes.scores, spikes.label, spikes.cell))
    training_range.write(workdir, training_range.measure_training_range(recorded_split))
    # Last: where it is, all the rest is.
    exported_consensus.write_consensus(workdir, members)


def _accuracy_and_auc(scores: np.ndarray, label: np.ndarray) -> dict[str, float | None]:
    metrics = binary_metrics(spike_p_ser(scores), label)
    return {name: None if math.isnan(metrics[name]) else metrics[name] for name in ('accuracy', 'auc')}
