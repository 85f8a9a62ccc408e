"""Networks, ensembles, trained models on disk, scores of spikes."""

from typing import Any

__all__ = ['build_member']


def __getattr__(name: str) -> Any:
    # Only on first use, so that reading model_info.json does not load Keras.
    if name == 'build_member':
        from trainer.models.architectures import build_member

        return build_member
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
