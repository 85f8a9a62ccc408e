"""The published results that stand beside ours, as data.

They come from real recordings. Only figures that the papers state are here; what they do not state is absent, and a
report shows it as such. The published split is random by spike, so the cells of its original test spikes were trained
on; the non-homogeneous cells were not.
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
    remark : what is stated in another measure than ours; may be empty.
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

# Accuracy of single networks, by kernel size, trained on original and asked of original test spikes (unbalanced run).
SINGLE_NETWORKS = {1: 0.9065, 5: 0.9709, 10: 0.9826, 20: 0.9846, 23: 0.9874, 27: 0.9877, 30: 0.9843, 31: 0.9855}

# Of the cells of other days that the consensus trained on original called SER and NSER, the share that was right.
PRECISION_TRAINED_ON_ORIGINAL = {'SER': 0.94, 'NSER': 0.88}
