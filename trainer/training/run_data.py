"""The splits that a run is trained and measured on, which must stay the same from its first step to its end."""

from __future__ import annotations

import dataclasses

from trainer.data.stored_dataset import StoredSplit, check_not_replaced


@dataclasses.dataclass(frozen=True)
class RunData:
    """The splits of a run.

    Attributes
    ----------
    train : what the members are trained on.
    validation : ``original/validation``, which selects their best epochs.
    recorded : ``original/train``, with which new recordings are compared.
    """

    train: StoredSplit
    validation: StoredSplit
    recorded: StoredSplit

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each dataset, by its config."""
        splits = (self.train, self.validation, self.recorded)
        return {split.name.partition('/')[0]: split.metadata.fingerprint for split in splits}

    def check_not_replaced(self) -> None:
        """Raises UserError if a dataset on the disk is no longer the one that was opened."""
        check_not_replaced(
            (self.train, self.validation, self.recorded),
            'during the training, which ends here; train on the new one in another --workdir',
        )
