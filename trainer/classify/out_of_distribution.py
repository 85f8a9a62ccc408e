"""Warns if a recording does not look like those that the model was trained on, in sentences for a biologist.

A recording is compared with the range of the training cells, with a margin, because one just outside is as
good as one at the edge.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from beam_pipelines import domain
from trainer.evaluation.training_range import TrainingRange

# Noise, amplitude and rate differ between cells by factors, so the margin is a factor too.
_MARGIN = 1.5
_MARGIN_OF_UDI = 1.2
# A few spikes fewer than those of the shortest training cell widen the interval, which is warning enough.
_MARGIN_OF_SPIKES = 2.0
# Between the mean spike and that of the most similar training cell. Cells of a class correlate at 0.95 and more.
_LEAST_CORRELATION = 0.85


@dataclasses.dataclass(frozen=True)
class CellTraits:
    """The traits that are compared, as in ``TrainingRange``; ``sampling_rate_hz`` is that of the recording."""

    mean_waveform: np.ndarray
    udi_ms: float
    amplitude_pa: float
    noise_pa: float
    firing_rate_hz: float
    n_spikes: int
    sampling_rate_hz: float


def training_warnings(cell: CellTraits, seen: TrainingRange) -> tuple[str, ...]:
    """Returns a sentence for each trait of a cell that lies outside the range that the model has seen."""
    return tuple(
        filter(
            None,
            (
                _rate(cell),
                _noise(cell, seen),
                _amplitude(cell, seen),
                _firing_rate(cell, seen),
                _few_spikes(cell, seen),
                _width(cell, seen),
                _shape(cell, seen),
            ),
        )
    )


def _rate(cell: CellTraits) -> str | None:
    if cell.sampling_rate_hz == domain.SAMPLING_RATE_HZ:
        return None
    sentence = (
        f'This recording was sampled at {cell.sampling_rate_hz:,.0f} Hz and resampled to'
        f' {domain.SAMPLING_RATE_HZ:,} Hz, the only rate that the model has seen'
    )
    if cell.sampling_rate_hz < domain.SAMPLING_RATE_HZ:
        sentence += '; the finest details of its spikes are lost'
    return f'{sentence}.'


def _noise(cell: CellTraits, seen: TrainingRange) -> str | None:
    least, most = _range(seen.noise_pa)
    if cell.noise_pa > _MARGIN * most:
        return (
            f'The noise of this recording ({cell.noise_pa:.1f} pA) is {cell.noise_pa / most:.1f} times that of the'
            f' noisiest recording the model has seen ({most:.1f} pA); the verdict may not hold.'
        )
    if cell.noise_pa < least / _MARGIN:
        return (
            f'The noise of this recording ({cell.noise_pa:.1f} pA) is far below that of the quietest recording the'
            f' model has seen ({least:.1f} pA); a stronger filter changes the shape of spikes, and the verdict'
            ' may not hold.'
        )
    return None


def _amplitude(cell: CellTraits, seen: TrainingRange) -> str | None:
    least, most = _range(seen.amplitude_pa)
    word = _beyond(cell.amplitude_pa, (least, most), _MARGIN, ('smaller', 'larger'))
    if word is None:
        return None
    return (
        f'The spikes of this recording ({cell.amplitude_pa:.0f} pA) are {word} than those of any cell the model has'
        f' seen ({least:.0f} to {most:.0f} pA); the verdict may not hold.'
    )


def _firing_rate(cell: CellTraits, seen: TrainingRange) -> str | None:
    least, most = _range(seen.firing_rate_hz)
    if cell.firing_rate_hz > _MARGIN * most:
        return (
            f'This cell fires at {cell.firing_rate_hz:.1f} per second, faster than any the model has seen ({least:.1f}'
            f' to {most:.1f}); artefacts or noise may have been taken for spikes, or spikes of two cells for one.'
        )
    if cell.firing_rate_hz < least / _MARGIN:
        return (
            f'This cell fires at {cell.firing_rate_hz:.2g} per second, more slowly than any the model has seen'
            f' ({least:.1f} to {most:.1f}); spikes that do not reach {domain.TRIGGER_PA:g} pA may have been missed.'
        )
    return None


def _few_spikes(cell: CellTraits, seen: TrainingRange) -> str | None:
    least, most = seen.n_spikes.min(), seen.n_spikes.max()
    if cell.n_spikes >= least / _MARGIN_OF_SPIKES:
        return None
    spikes = 'one spike' if cell.n_spikes == 1 else f'{cell.n_spikes} spikes'
    return (
        f'The verdict rests on {spikes} only; the cells the model has seen have {least:,} to {most:,}. A longer'
        ' recording makes it surer.'
    )


def _width(cell: CellTraits, seen: TrainingRange) -> str | None:
    least, most = _range(seen.udi_ms)
    if np.isnan(cell.udi_ms):
        if np.isnan(seen.udi_ms).any():
            return None
        return (
            'The width (UDI) of the mean spike cannot be measured: after its trough the current has no positive peak'
            ' within 3 ms, as it has in all cells the model has seen. Look at the mean spike before you trust the'
            ' verdict.'
        )
    word = _beyond(cell.udi_ms, (least, most), _MARGIN_OF_UDI, ('narrower', 'wider'))
    if word is None:
        return None
    return (
        f'The mean spike (UDI {cell.udi_ms:.2f} ms) is {word} than that of any cell the model has seen ({least:.2f} to'
        f' {most:.2f} ms); the verdict may not hold.'
    )


def is_unlike_all(cell: CellTraits, seen: TrainingRange) -> bool:
    """Whether the mean spike resembles that of no training cell, so that a verdict would mean nothing."""
    return _likeness(cell, seen) < _LEAST_CORRELATION


def _shape(cell: CellTraits, seen: TrainingRange) -> str | None:
    likeness = _likeness(cell, seen)
    if likeness >= _LEAST_CORRELATION:
        return None
    return (
        'The mean spike is not shaped like that of any cell the model has seen (correlation with the nearest'
        f' {max(likeness, 0):.2f}); it may be an artefact and no spike, so the cell is undecided.'
    )


def _likeness(cell: CellTraits, seen: TrainingRange) -> float:
    """Returns the correlation of the mean spike with that of the most similar training cell."""
    own, others = _standardised(cell.mean_waveform), _standardised(seen.mean_waveform)
    return float((others @ own).max() / own.size)


def _standardised(waveform: np.ndarray) -> np.ndarray:
    centred = waveform - waveform.mean(axis=-1, keepdims=True, dtype=np.float64)
    return centred / np.maximum(centred.std(axis=-1, keepdims=True), np.finfo(np.float64).tiny)


def _beyond(value: float, seen: tuple[float, float], margin: float, words: tuple[str, str]) -> str | None:
    """Returns the first word if a value is below the range by more than the margin, the second if above, else None."""
    if value < seen[0] / margin:
        return words[0]
    return words[1] if value > seen[1] * margin else None


def _range(values: np.ndarray) -> tuple[float, float]:
    """Returns the least and the greatest finite value; NaN if there is none, so that no value lies beyond."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
