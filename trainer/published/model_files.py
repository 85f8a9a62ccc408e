"""The names of the authors' model files; importing this loads no Keras."""

import os
import re

FILE = re.compile(r'ModConvBinNormN(\d+)(?:-v(\d+))?\.keras')
FILE_NAMES = 'ModConvBinNormN{k}.keras or ModConvBinNormN{k}-v{chunk}.keras'

# The kernel sizes of the published consensus.
CONSENSUS_KERNEL_SIZES = range(20, 31)


def kernel_sizes_below(folder: str | os.PathLike) -> dict[str, list[int]]:
    """Returns {folder: kernel sizes of the authors' files in it}, for each folder at or below this one that has any."""
    found: dict[str, list[int]] = {}
    for parent, _, names in sorted(os.walk(os.fspath(folder))):
        kernel_sizes = sorted({int(match[1]) for match in map(FILE.fullmatch, names) if match})
        if kernel_sizes:
            found[parent] = kernel_sizes
    return found
