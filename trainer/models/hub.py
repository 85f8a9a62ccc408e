"""Models on the Hugging Face Hub: the files of a model, and nothing else, into the Hub's own cache."""

from __future__ import annotations

import re

from trainer.errors import ModelError
from trainer.models.archive import FILES, MOST_BYTES, MOST_FILES

_ADDRESS = re.compile(r'hf://([\w.-]+/[\w.-]+)', re.ASCII)
_PATTERNS = [*FILES, 'members/k*.keras']


def download_model(address: str) -> str:
    """Returns the folder of a model in the Hub's cache; downloads what is not there yet.

    Parameters
    ----------
    address : ``hf://OWNER/NAME``.

    Raises
    ------
    ModelError
        If it is no such address, huggingface_hub is not installed, or the model cannot be downloaded or is too large.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ModelError(f'{address}: expected hf://OWNER/NAME')
    try:
        import huggingface_hub
        from huggingface_hub.errors import DryRunError
    except ModuleNotFoundError as error:
        raise ModelError(f"{address}: {error.name} is not installed; pip install '.[hub]'") from None
    try:
        try:
            _check_sizes(address, huggingface_hub.snapshot_download(match[1], allow_patterns=_PATTERNS, dry_run=True))
        except DryRunError:
            pass  # The Hub cannot be reached: the model may be in the cache.
        return huggingface_hub.snapshot_download(match[1], allow_patterns=_PATTERNS)
    except (OSError, ValueError) as error:  # The library's own errors are of these kinds.
        raise ModelError(f'{address}: {" ".join(str(error).split())}') from None


def _check_sizes(address: str, files: list) -> None:
    """Raises ModelError for what is no model, before it is downloaded."""
    if len(files) > MOST_FILES or sum(file.file_size for file in files) > MOST_BYTES:
        raise ModelError(f'{address}: its files are more or larger than those of a model ({MOST_BYTES:,} bytes)')
