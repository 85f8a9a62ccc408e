"""The published results, to compare ours with.

They come from real recordings. Only figures that the papers state are here; reports show the others as not stated. The
published split is random by spike, so the cells of its original test spikes were trained on. The non-homogeneous cells
were not.
"""

from __future__ import annotations

import dataclasses

SOURCE = 'published (arXiv 2407.05701 / 2405.05516), real recordings'


@dataclasses.dataclass(frozen=True)
class PublishedResult:
    """What the papers say of the consensus of the networks with kernel sizes 20 to 30.

    Attributes
    ----------
    title : what the consensus was trained on.
    metrics : for each ``CONFIG/SPLIT``, ``{'spike': {...}, 'cell': {...}}`` with the names of ``metrics.json``.
    remark : results stated in a measure other than ours; may be empty.
    """

    title: str
    metrics: dict[str, dict]
    remark: str = ''


TRAINED_ON_ORIGINAL = PublishedResult(
    title='trained on original',
    metrics={'original/test': {'spike': {'accuracy': 0.984, 'auc': 0.997}}},
    remark='Published consensus trained on original data only, on the non-homogeneous cells: 0.94 of those called SER '
    'and 0.88 of those called NSER are called right (precision).',
)

TRAINED_ON_SYNTHETIC = PublishedResult(
    title='trained on synthetic',
    metrics={
        'non_homogeneous/test': {
            'cell': {'accuracy': 0.9375, 'sensitivity': 0.962, 'specificity': 0.888, 'auc': 0.926},
        },
    },
)

# Accuracy of single networks on original test spikes, by kernel size; trained on original (unbalanced run).
SINGLE_NETWORKS = {1: 0.9065, 5: 0.9709, 10: 0.9826, 20: 0.9846, 23: 0.9874, 27: 0.9877, 30: 0.9843, 31: 0.9855}

# Precision on cells of other days, of the consensus trained on original.
PRECISION_TRAINED_ON_ORIGINAL = {'SER': 0.94, 'NSER': 0.88}
