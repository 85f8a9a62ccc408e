"""The report of ``sero-classify``: one HTML file with the verdicts first, and then the evidence for each cell.

    write_report(pathlib.Path('verdicts'), cells, rejected, ensemble.info, training_range)

writes ``verdicts/report.html``, a single file that needs no network.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.rejection import REASONS, RejectedFile
from beam_pipelines.recordings.sources import MADE, RECORDED, Source, find_source
from beam_pipelines.storage.atomic_files import write_files
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import count_outside_training_range
from trainer.evaluation.results import CellResult, ClassifiedCell
from trainer.evaluation.training_range import TrainingRange
from trainer.reports import page as report_page
from trainer.reports.cell_pictures import CellPictures, Picture
from trainer.reports.page import REPORT_NAME, UNDEFINED, is_defined, number
from trainer.reports.probability import template_words

_VERDICTS = (*domain.LABEL_NAMES, 'undecided')
_RANGE_PERCENTILES = (5, 95)


def write_report(
    folder: pathlib.Path,
    cells: Sequence[ClassifiedCell],
    rejected: Sequence[RejectedFile],
    info: dict,
    training_range: TrainingRange,
) -> pathlib.Path:
    """Writes ``report.html``; an old one is replaced once the new one is complete.

    Parameters
    ----------
    folder : made if it does not exist.
    cells : the verdicts, in the order in which they are shown.
    rejected : the files that could not be used.
    info : the model's ``model_info.json`` with its ``calibration``; its ``undecided_rule``, if it has one, is quoted.
    training_range : of the model.

    Returns
    -------
    The path of ``report.html``.
    """
    template = report_page.environment().get_template('classification.html')
    html = template.render(_page(cells, rejected, info, training_range))
    # File names that are not UTF-8 hold lone surrogates, which cannot be encoded.
    write_files(folder, {REPORT_NAME: html.encode(errors='backslashreplace')})
    return folder / REPORT_NAME


@dataclasses.dataclass(frozen=True)
class _Trait:
    """A row of a cell's table of numbers: the cell's value beside the range of each training class."""

    name: str
    value: str
    ranges: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _CellSection:
    """What the page shows of one cell; the table of verdicts links to ``anchor``."""

    anchor: str
    cell: ClassifiedCell
    activity: Picture
    overlay: Picture
    shape: Picture
    udi: Picture
    traits: list[_Trait]

    @property
    def result(self) -> CellResult:
        return self.cell.result

    @property
    def made(self) -> Source | None:
        return find_source([self.cell.source])


def _page(
    cells: Sequence[ClassifiedCell], rejected: Sequence[RejectedFile], info: dict, training_range: TrainingRange
) -> dict:
    pictures = CellPictures(training_range)
    calibration = Calibration(**info['calibration'])
    ranges = _training_ranges(training_range)
    return {
        'sections': [
            _CellSection(
                f'cell-{place}',
                cell,
                pictures.activity(cell),
                pictures.overlay(cell),
                pictures.shape(cell),
                pictures.udi(cell),
                _traits(cell, ranges),
            )
            for place, cell in enumerate(cells, 1)
        ],
        'shared_pictures': pictures.shared,
        'summary': _summary(cells),
        'rejected': [{'path': file.path, 'reason': REASONS[file.reason], 'detail': file.detail} for file in rejected],
        'rejected_count': counted(len(rejected), 'file'),
        'warned_words': _warned_words(cells),
        **_source_words(cells, info),
        'model': _model_words(info),
        'is_published_protocol': info.get('protocol') == 'published',
        'is_calibrated': info['calibration']['method'] != 'none',
        'undecided_rule': info.get('undecided_rule'),
        **template_words(calibration),
        'colours': report_page.COLOURS,
    }


def _summary(cells: Sequence[ClassifiedCell]) -> list[tuple[str, int]]:
    """Returns how many cells have each verdict."""
    counts = collections.Counter(cell.result.verdict for cell in cells)
    return [(verdict, counts[verdict]) for verdict in _VERDICTS]


def _source_words(cells: Sequence[ClassifiedCell], info: dict) -> dict:
    """Says what made the recordings of the model and of the cells; no words if all were recorded."""
    words = []
    model_source = info.get('source', RECORDED)
    if made := find_source([model_source]):
        words.append(f'trained on {made.recordings.lower()}')
    for made in MADE:
        if count := sum(cell.source == made.name for cell in cells):
            which = 'the recordings are' if count == len(cells) else f'{count} of {len(cells)} recordings are'
            words.append(f'{which} {made.predicate.lower()}')
    least_real = find_source({model_source, *(cell.source for cell in cells)})
    return {'source_words': '; '.join(words), 'not_about': least_real and least_real.not_about}


def _warned_words(cells: Sequence[ClassifiedCell]) -> str:
    warned = sum(bool(cell.result.warnings) for cell in cells)
    if not warned:
        return 'There are no warnings.'
    outside, _ = count_outside_training_range(cell.result.warnings for cell in cells)
    by_range = f' ({outside} outside the range of the training cells)' if outside else ''
    return f'There are warnings on {counted(warned, "cell")}{by_range}: read them before you trust a verdict.'


def _model_words(info: dict) -> str:
    members = len(info.get('members') or [])
    ensemble = f'An ensemble of {counted(members, "network")}' if members else 'An ensemble'
    words = [f'{ensemble}, trained on {info.get("trained_on") or "data unknown here"}']
    if info.get('created'):
        words.append(f'made {str(info["created"])[:16].replace("T", " ")}')
    return ', '.join(words)


def _training_ranges(training_range: TrainingRange) -> dict[str, list[np.ndarray]]:
    """Returns the finite values of each trait, by class."""
    names = ('udi_ms', 'amplitude_pa', 'noise_pa', 'firing_rate_hz', 'n_spikes')
    values = {name: np.asarray(getattr(training_range, name), np.float64) for name in names}
    return {
        name: [
            of_all[(training_range.label == label) & np.isfinite(of_all)] for label in range(len(domain.LABEL_NAMES))
        ]
        for name, of_all in values.items()
    }


def _traits(cell: ClassifiedCell, ranges: dict[str, list[np.ndarray]]) -> list[_Trait]:
    spikes = cell.spikes
    rate_hz = 1 / float(np.median(np.diff(spikes.time_s))) if len(spikes.time_s) > 1 else None

    def one_decimal(value: float | None) -> str:
        return number(value, 1)

    def two_decimals(value: float | None) -> str:
        return number(value, 2)

    def whole(value: float | None) -> str:
        return UNDEFINED if value is None else f'{value:,.0f}'

    def trait(name: str, value: float | None, of_training: str, write: Callable[[float | None], str]) -> _Trait:
        return _Trait(name, write(value), tuple(_range(values, write) for values in ranges[of_training]))

    return [
        trait('Spike width, UDI (ms)', cell.result.udi_ms, 'udi_ms', two_decimals),
        trait('Amplitude (pA)', float(np.median(spikes.amplitude_pa)), 'amplitude_pa', one_decimal),
        trait('Noise before spikes (pA)', _noise_pa(cell), 'noise_pa', one_decimal),
        trait('Firing rate (Hz)', rate_hz, 'firing_rate_hz', one_decimal),
        trait('Spikes', cell.result.n_spikes, 'n_spikes', whole),
        _Trait('Signal to noise', one_decimal(float(np.median(spikes.snr))), ('', '')),
        _Trait('Spikes that lean to SER', f'{np.mean(spikes.p_ser >= 0.5):.0%}', ('', '')),
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
