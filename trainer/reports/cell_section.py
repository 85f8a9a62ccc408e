"""What a page shows of one cell: its verdict, its pictures and its numbers beside those of the training cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.sources import Source, find_source
from trainer.evaluation.results import CellResult, ClassifiedCell
from trainer.evaluation.training_range import TrainingRange
from trainer.reports.activity_picture import draw_activity
from trainer.reports.cell_pictures import CellPictures
from trainer.reports.page import UNDEFINED, is_defined, number
from trainer.reports.svg_plot import Picture

_RANGE_PERCENTILES = (5, 95)


@dataclasses.dataclass(frozen=True)
class Trait:
    """A row of a cell's table of numbers: the cell's value beside the range of each training class."""

    name: str
    value: str
    ranges: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CellSection:
    """What a page shows of one cell; its table of verdicts links to ``anchor``."""

    anchor: str
    cell: ClassifiedCell
    activity: Picture
    overlay: Picture
    shape: Picture
    udi: Picture
    traits: list[Trait]

    @property
    def result(self) -> CellResult:
        return self.cell.result

    @property
    def made(self) -> Source | None:
        return find_source([self.cell.source])


class CellSections:
    """Makes the sections of a page.

    Parameters
    ----------
    training_range : of the model.

    Attributes
    ----------
    shared_pictures : the parts that the pictures of all cells share, see ``CellPictures.shared``.
    """

    def __init__(self, training_range: TrainingRange):
        self._pictures = CellPictures(training_range)
        self.shared_pictures = self._pictures.shared
        self._ranges = _training_ranges(training_range)

    def of(self, cell: ClassifiedCell, anchor: str) -> CellSection:
        """Returns the section of a cell."""
        return CellSection(
            anchor,
            cell,
            draw_activity(cell),
            self._pictures.overlay(cell),
            self._pictures.shape(cell),
            self._pictures.udi(cell),
            _traits(cell, self._ranges),
        )


def _training_ranges(training_range: TrainingRange) -> dict[str, list[np.ndarray]]:
    """Returns the finite values of each trait, by class."""
    names = ('udi_ms', 'amplitude_pa', 'noise_pa', 'firing_rate_hz', 'n_spikes')
    values = {name: np.asarray(getattr(training_range, name), np.float64) for name in names}
    with np.errstate(divide='ignore', invalid='ignore'):
        values['snr'] = values['amplitude_pa'] / values['noise_pa']
    return {
        name: [
            of_all[(training_range.label == label) & np.isfinite(of_all)] for label in range(len(domain.LABEL_NAMES))
        ]
        for name, of_all in values.items()
    }


def _traits(cell: ClassifiedCell, ranges: dict[str, list[np.ndarray]]) -> list[Trait]:
    spikes = cell.spikes
    rate_hz = 1 / float(np.median(np.diff(spikes.time_s))) if len(spikes.time_s) > 1 else None

    def one_decimal(value: float | None) -> str:
        return number(value, 1)

    def two_decimals(value: float | None) -> str:
        return number(value, 2)

    def whole(value: float | None) -> str:
        return UNDEFINED if value is None else f'{value:,.0f}'

    def trait(name: str, value: float | None, of_training: str, write: Callable[[float | None], str]) -> Trait:
        return Trait(name, write(value), tuple(_range(values, write) for values in ranges[of_training]))

    return [
        trait('Spike width, UDI (ms)', cell.result.udi_ms, 'udi_ms', two_decimals),
        trait('Amplitude (pA)', float(np.median(spikes.amplitude_pa)), 'amplitude_pa', one_decimal),
        trait('Noise before spikes (pA)', _noise_pa(cell), 'noise_pa', one_decimal),
        trait('Firing rate (Hz)', rate_hz, 'firing_rate_hz', one_decimal),
        trait('Spikes', cell.result.n_spikes, 'n_spikes', whole),
        trait('Signal to noise', float(np.median(spikes.snr)), 'snr', one_decimal),
        Trait('Spikes that lean to SER', f'{np.mean(spikes.p_ser >= 0.5):.0%}', ('', '')),
    ]


def _noise_pa(cell: ClassifiedCell) -> float | None:
    """Returns the median noise before a spike: its amplitude divided by its ``snr``."""
    noise = cell.spikes.amplitude_pa / np.where(cell.spikes.snr > 0, cell.spikes.snr, np.nan)
    noise = noise[np.isfinite(noise)]
    return float(np.median(noise)) if noise.size else None


def _range(values: np.ndarray, write: Callable[[float | None], str]) -> str:
    if not values.size:
        return UNDEFINED
    low, high = np.percentile(values, _RANGE_PERCENTILES)
    return f'{write(low)} to {write(high)}' if is_defined(low) else UNDEFINED
