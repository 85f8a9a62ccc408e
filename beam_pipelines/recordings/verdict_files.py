"""What ``sero-classify`` wrote below a folder of recordings: verdicts, which are no recordings themselves."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable

CELLS, SPIKES, REJECTED, REPORT = 'cells.csv', 'spikes.csv', 'rejected.jsonl', 'report.html'
ALWAYS_WRITTEN = (CELLS, SPIKES, REJECTED, REPORT)
NWB_FOLDER, PHY_FOLDER, PHY_FILE = 'nwb', 'phy', 'cluster_sero.tsv'
WRITTEN = (*ALWAYS_WRITTEN, NWB_FOLDER, PHY_FOLDER, PHY_FILE)


def without_verdicts(paths: Iterable[str]) -> list[str]:
    """Leaves out the files that ``sero-classify`` wrote to any output folder.

    An output folder holds every file of ``ALWAYS_WRITTEN``. A file of another name in it may be a recording.

    Parameters
    ----------
    paths : of all files below a folder.
    """
    paths = list(paths)
    names_in = collections.defaultdict(set)
    for path in paths:
        folder, name = os.path.split(path)
        names_in[folder].add(name)
    outputs = {folder for folder, names in names_in.items() if names.issuperset(ALWAYS_WRITTEN)}

    def is_verdict(path: str) -> bool:
        folder, name = os.path.split(path)
        parent, folder_name = os.path.split(folder)
        if folder in outputs and name in WRITTEN:
            return True
        return parent in outputs and folder_name in (NWB_FOLDER, PHY_FOLDER)

    return [path for path in paths if not is_verdict(path)] if outputs else paths
