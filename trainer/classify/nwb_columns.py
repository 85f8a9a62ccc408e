"""The verdict on a cell as columns of NWB's units table: their names, descriptions and values."""

from __future__ import annotations

from collections.abc import Mapping

from beam_pipelines.recordings.sources import RECORDED, find_source
from trainer.evaluation.results import CellResult

PREFIX = 'sero_'

COLUMNS = {
    'cell': 'cell id: recording day # number',
    'verdict': 'SER (serotonergic), NSER (not) or undecided',
    'p_ser': 'probability that the cell is serotonergic, 0..1; calibrated, unless the model is said not to be',
    'p_ser_low': 'lower end of the 95 % interval of p_ser',
    'p_ser_high': 'upper end of the 95 % interval of p_ser',
    'p_ser_published': 'published consensus of the networks, not calibrated',
    'n_spikes': 'number of spikes that the verdict rests on',
    'udi_ms': 'upstroke-downstroke interval of the mean spike in ms; NaN where it cannot be measured',
    'warnings': 'what does not look like the recordings that the model was trained on; empty if nothing',
}

# The columns in files that sero-classify has not made itself. By name and description it knows them again, so a
# description that changes makes those of earlier versions foreign.
UNITS_COLUMNS = {
    PREFIX + name: description
    for name, description in (
        *COLUMNS.items(),
        ('source', 'what the recording or the model is made of, if nobody recorded it'),
    )
}


def column_values(result: CellResult) -> dict[str, str | float | int]:
    """Returns the value of a cell in each of ``COLUMNS``."""
    return {
        'cell': result.cell,
        'verdict': result.verdict,
        'p_ser': float(result.p_ser),
        'p_ser_low': float(result.p_ser_low),
        'p_ser_high': float(result.p_ser_high),
        'p_ser_published': float(result.p_ser_published),
        'n_spikes': int(result.n_spikes),
        'udi_ms': float(result.udi_ms),
        'warnings': '; '.join(map(str, result.warnings)),
    }


def model_description(info: Mapping) -> str:
    """Returns which model a verdict is by, with its stamp; ``info`` is the content of its ``model_info.json``."""
    made = find_source([info.get('source', RECORDED)])
    stamp = f' The model was trained on {made.recordings}.' if made else ''
    fields = ('trained_on', 'source', 'protocol', 'architecture', 'kernel_sizes', 'created', 'dataset_fingerprint')
    known = ', '.join(f'{field} {info[field]}' for field in fields if info.get(field))
    is_calibrated = info['calibration']['method'] != 'none'
    calibration = '' if is_calibrated else ' Its probabilities are NOT calibrated: p_ser is p_ser_published.'
    return f'Verdict by a sero-spikes model: {known}.{stamp}{calibration}'
