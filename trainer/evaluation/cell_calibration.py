"""From the scores of the spikes of several cells to a calibration."""

from __future__ import annotations

import sys

import numpy as np

from trainer.errors import CalibrationError
from trainer.evaluation.calibration import Calibration, fit_calibration
from trainer.evaluation.verdicts import consensus


def calibrate(scores: np.ndarray, label: np.ndarray, cell: np.ndarray) -> Calibration:
    """Fits a calibration on cells that no member was trained on.

    With too few cells it warns, and the probabilities stay what they are.

    Parameters
    ----------
    scores : (n, m, 2) float, the scores of n spikes by m members.
    label, cell : (n,) int, of the spikes.
    """
    spikes_of_cells = [cell == number for number in np.unique(cell)]
    of_cells = np.array([consensus(scores[of_cell]) for of_cell in spikes_of_cells])
    labels = np.array([label[of_cell][0] for of_cell in spikes_of_cells])
    try:
        return fit_calibration(of_cells, labels)
    except CalibrationError as error:
        print(f'WARNING: the probabilities are not calibrated: {error}', file=sys.stderr)
        return Calibration()
