"""Networks, ensembles, trained models on disk, scores of spikes."""

from trainer.models.architectures import build_member

__all__ = ['build_member']
