"""Warns if a cell does not look like those that the model was trained on, in sentences for a biologist.

A cell is compared with the range of the training cells, with a margin, because one just outside is as
good as one at the edge.
"""

from __future__ import annotations

import numpy as np

from beam_pipelines import domain
from trainer.evaluation.cell_warnings import UNLIKE, CellWarning
from trainer.evaluation.training_range import CellTraits, TrainingRange

# Noise, amplitude and rate differ between cells by factors, so the margin is a factor too.
_MARGIN = 1.5
_MARGIN_OF_UDI = 1.2
# A few spikes fewer than those of the shortest training cell widen the interval, which is warning enough.
_MARGIN_OF_SPIKES = 2.0
# Between the mean spike and that of the most similar training cell. Cells of a class correlate at 0.95 and more.
_LEAST_CORRELATION = 0.85

# The training cells in the sentences.
SEEN_BY_MODEL = 'the model has seen'


def training_warnings(cell: CellTraits, seen: TrainingRange, whose: str = SEEN_BY_MODEL) -> tuple[CellWarning, ...]:
    """Returns a warning for each trait of a cell that lies outside the range that the model has seen.

    Parameters
    ----------
    cell : its traits.
    seen : the traits of the training cells.
    whose : names these in a sentence, after "any cell".
    """
    return tuple(
        filter(
            None,
            (
                _rate(cell),
                _noise(cell, seen, whose),
                _amplitude(cell, seen, whose),
                _firing_rate(cell, seen, whose),
                _few_spikes(cell, seen, whose),
                _width(cell, seen, whose),
                _shape(cell, seen, whose),
            ),
        )
    )


def _rate(cell: CellTraits) -> CellWarning | None:
    if cell.sampling_rate_hz == domain.SAMPLING_RATE_HZ:
        return None
    sentence = (
        f'This recording was sampled at {cell.sampling_rate_hz:,.0f} Hz and resampled to'
        f' {domain.SAMPLING_RATE_HZ:,} Hz, the only rate that the model has seen'
    )
    if cell.sampling_rate_hz < domain.SAMPLING_RATE_HZ:
        sentence += '; the finest details of its spikes are lost'
    return CellWarning('resampled', f'{sentence}.')


def _noise(cell: CellTraits, seen: TrainingRange, whose: str) -> CellWarning | None:
    least, most = _range(seen.noise_pa)
    if cell.noise_pa > _MARGIN * most:
        return CellWarning(
            'noise_high',
            f'The noise of this recording ({cell.noise_pa:.1f} pA) is {cell.noise_pa / most:.1f} times that of the'
            f' noisiest recording {whose} ({most:.1f} pA); the verdict may not hold.',
        )
    if cell.noise_pa < least / _MARGIN:
        return CellWarning(
            'noise_low',
            f'The noise of this recording ({cell.noise_pa:.1f} pA) is far below that of the quietest recording'
            f' {whose} ({least:.1f} pA); a stronger filter changes the shape of spikes, and the verdict may not hold.',
        )
    return None


def _amplitude(cell: CellTraits, seen: TrainingRange, whose: str) -> CellWarning | None:
    least, most = _range(seen.amplitude_pa)
    found = _beyond(cell.amplitude_pa, (least, most), _MARGIN)
    if found is None:
        return None
    return CellWarning(
        f'amplitude_{found}',
        f'The spikes of this recording ({cell.amplitude_pa:.0f} pA) are {"smaller" if found == "low" else "larger"}'
        f' than those of any cell {whose} ({least:.0f} to {most:.0f} pA); the verdict may not hold.',
    )


def _firing_rate(cell: CellTraits, seen: TrainingRange, whose: str) -> CellWarning | None:
    least, most = _range(seen.firing_rate_hz)
    found = _beyond(cell.firing_rate_hz, (least, most), _MARGIN)
    if found == 'high':
        return CellWarning(
            'firing_rate_high',
            f'This cell fires at {cell.firing_rate_hz:.1f} per second, faster than any {whose} ({least:.1f} to'
            f' {most:.1f}); artefacts or noise may have been taken for spikes, or spikes of two cells for one.',
        )
    if found == 'low':
        return CellWarning(
            'firing_rate_low',
            f'This cell fires at {cell.firing_rate_hz:.2g} per second, more slowly than any {whose} ({least:.1f} to'
            f' {most:.1f}); spikes that do not reach {domain.TRIGGER_PA:g} pA may have been missed.',
        )
    return None


def _few_spikes(cell: CellTraits, seen: TrainingRange, whose: str) -> CellWarning | None:
    least, most = seen.n_spikes.min(), seen.n_spikes.max()
    if cell.n_spikes >= least / _MARGIN_OF_SPIKES:
        return None
    spikes = 'one spike' if cell.n_spikes == 1 else f'{cell.n_spikes} spikes'
    return CellWarning(
        'few_spikes',
        f'The verdict rests on {spikes} only; the cells {whose} have {least:,} to {most:,}. A longer recording makes it'
        ' surer.',
    )


def _width(cell: CellTraits, seen: TrainingRange, whose: str) -> CellWarning | None:
    least, most = _range(seen.udi_ms)
    if np.isnan(cell.udi_ms):
        if np.isnan(seen.udi_ms).any():
            return None
        return CellWarning(
            'udi_unmeasured',
            'The width (UDI) of the mean spike cannot be measured: after its trough the current has no positive peak'
            f' within 3 ms, as it has in all cells {whose}. Look at the mean spike before you trust the verdict.',
        )
    found = _beyond(cell.udi_ms, (least, most), _MARGIN_OF_UDI)
    if found is None:
        return None
    return CellWarning(
        f'udi_{found}',
        f'The mean spike (UDI {cell.udi_ms:.2f} ms) is {"narrower" if found == "low" else "wider"} than that of any'
        f' cell {whose} ({least:.2f} to {most:.2f} ms); the verdict may not hold.',
    )


def _shape(cell: CellTraits, seen: TrainingRange, whose: str) -> CellWarning | None:
    likeness = _likeness(cell, seen)
    if likeness >= _LEAST_CORRELATION:
        return None
    return CellWarning(
        UNLIKE,
        f'The mean spike is not shaped like that of any cell {whose} (correlation with the nearest'
        f' {max(likeness, 0):.2f}); it may be an artefact and no spike, so the cell is undecided.',
    )


def _likeness(cell: CellTraits, seen: TrainingRange) -> float:
    """Returns the correlation of the mean spike with that of the most similar training cell."""
    own, others = _standardised(cell.mean_waveform), _standardised(seen.mean_waveform)
    return float((others @ own).max() / own.size)


def _standardised(waveform: np.ndarray) -> np.ndarray:
    centred = waveform - waveform.mean(axis=-1, keepdims=True, dtype=np.float64)
    return centred / np.maximum(centred.std(axis=-1, keepdims=True), np.finfo(np.float64).tiny)


def _beyond(value: float, seen: tuple[float, float], margin: float) -> str | None:
    """Returns ``low`` if a value is below the range by more than the margin, ``high`` if above, else None."""
    if value < seen[0] / margin:
        return 'low'
    return 'high' if value > seen[1] * margin else None


def _range(values: np.ndarray) -> tuple[float, float]:
    """Returns the least and the greatest finite value; NaN if there is none, so that no value lies beyond."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
