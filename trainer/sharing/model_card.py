"""The model card of an exported model: ``README.md``, whose header the Hugging Face Hub reads."""

from __future__ import annotations

import dataclasses
import json

import jinja2
import numpy as np

import beam_pipelines
from beam_pipelines import domain
from beam_pipelines.citation import BIBTEX
from beam_pipelines.recordings.sources import SIMULATED, find_source
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.training_range import TrainingRange
from trainer.evaluation.verdicts import undecided_rule
from trainer.models.model_info import ModelInfo
from trainer.reports.page import number
from trainer.reports.terminal import calibration_words
from trainer.sharing.evaluated import Evaluation

_TAGS = ('neuroscience', 'electrophysiology', 'dorsal-raphe', 'serotonin', 'spike-classification', 'onnx', 'keras')
# What is measured of a training cell -> how the card writes it, and with how many digits.
_TRAITS = {
    'udi_ms': ('spike width (UDI), ms', 2),
    'amplitude_pa': ('amplitude, pA', 0),
    'noise_pa': ('noise, pA', 1),
    'firing_rate_hz': ('firing rate, Hz', 1),
    'n_spikes': ('spikes', 0),
}


@dataclasses.dataclass(frozen=True)
class DescribedModel:
    """What a card says about a model.

    Attributes
    ----------
    info, calibration, training_range : of its run.
    evaluation : None if it was not evaluated.
    """

    info: ModelInfo
    calibration: Calibration
    training_range: TrainingRange
    evaluation: Evaluation | None


def write_card(model: DescribedModel) -> str:
    """Returns the content of ``README.md``."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader('trainer.sharing', 'templates'),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {'number': number, 'yaml': _yaml}
    info = model.info
    return templates.get_template('model_card.md').render(
        header=_header(model),
        info=info,
        made=find_source([info.source]),
        config=info.config or {},
        versions=info.versions or {},
        cells=_cells_by_class(model.training_range),
        traits=_ranges(model.training_range),
        evaluation=model.evaluation,
        made_evaluation=find_source(model.evaluation.sources) if model.evaluation else None,
        calibration_words=calibration_words(model.calibration),
        undecided_rule=undecided_rule(model.calibration),
        domain=domain,
        version=beam_pipelines.__version__,
        bibtex=BIBTEX,
    )


def _header(model: DescribedModel) -> dict[str, object]:
    """Returns the metadata that the Hub knows, in the order of the card."""
    made = find_source([model.info.source])
    header: dict[str, object] = {'library_name': 'sero-spikes', 'tags': [*_TAGS, *([made.name] if made else [])]}
    # Whose recordings they are, decides the licence of other models.
    if made is SIMULATED:
        header['license'] = 'mit'
    if model.evaluation:
        header['model-index'] = [{'name': model.info.title, 'results': list(model.evaluation.index_entries())}]
    return header


def _yaml(value: object) -> str:
    """Writes a value as YAML: JSON, which is a part of it, in lines that belong to the field before."""
    return json.dumps(value, indent=2, ensure_ascii=False).replace('\n', '\n  ')


def _cells_by_class(training_range: TrainingRange) -> dict[str, int]:
    return {name: int(np.sum(training_range.label == label)) for label, name in enumerate(domain.LABEL_NAMES)}


def _ranges(training_range: TrainingRange) -> list[tuple[str, list[str]]]:
    """Returns each trait with the least and the greatest value of the training cells of each class."""
    return [
        (title, [_range(getattr(training_range, name)[training_range.label == label], digits) for label in (0, 1)])
        for name, (title, digits) in _TRAITS.items()
    ]


def _range(values: np.ndarray, digits: int) -> str:
    known = values[np.isfinite(values)]
    return f'{known.min():,.{digits}f} to {known.max():,.{digits}f}' if len(known) else 'unknown'
