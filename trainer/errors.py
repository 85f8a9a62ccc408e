"""User errors that a caller may want to tell apart."""

from __future__ import annotations

from beam_pipelines.errors import UserError


class ModelError(UserError):
    """A trained model or a checkpoint is missing, damaged or not what it should be."""


class CalibrationError(UserError):
    """A calibration cannot be fitted or read."""


class StoreAway(UserError):
    """An object store has failed for longer than it is waited for."""
