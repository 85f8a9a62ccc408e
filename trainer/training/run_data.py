"""The splits that a run is trained and measured on, which must stay the same from its first step to its end."""

from __future__ import annotations

import dataclasses

from beam_pipelines.errors import UserError
from trainer.data.stored_dataset import StoredSplit, read_metadata


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
        """Raises UserError if a dataset on the disk is no longer the one that was opened.

        ``sero-build --overwrite`` replaces it as a whole, and the files of the new one have the old ones' names.
        """
        splits = (self.train, self.validation, self.recorded)
        now = {folder: read_metadata(folder).fingerprint for folder in {split.folder for split in splits}}
        for split in splits:
            if now[split.folder] != split.metadata.fingerprint:
                raise UserError(
                    'the dataset was replaced by another during the training, which ends here; train on the new one'
                    ' in another --workdir',
                    file=split.folder,
                )
