"""The networks: one member of the ensemble, as published or on the current alone."""

from __future__ import annotations

import keras

from beam_pipelines import domain
from trainer.config import check_member

_COLUMNS = 2  # time and current, in the published input


def build_member(architecture: str, kernel_size: int, precision: str = 'float32') -> keras.Model:
    """Builds one untrained network; its two outputs are the scores of SER and NSER, 0..1.

    ``published`` is the authors' network layer for layer on ``(160, 2, 1)``: column 0 time, column 1 current. ``cnn``
    is the same network on the current alone, ``(160,)`` in pA: the same parameters, half the arithmetic, because the
    time column is the same ramp in every spike. Source: arXiv 2405.05516.

    Parameters
    ----------
    architecture : ``cnn`` or ``published``.
    kernel_size : length of both convolutions in samples, 1..53.
    precision : one of ``config.PRECISIONS``: what the convolutions compute in. Their weights, the input, the
        normalisation and the scores are float32 in each: half precision would round a spike's current to a quarter of a
        pA, and the scores of a confident member to 0 or 1.

    Raises
    ------
    UserError
        If the architecture is unknown or the kernel too long for 160 samples.
    """
    check_member(architecture, kernel_size)
    build = _published if architecture == 'published' else _cnn
    return build(kernel_size, precision)


def _published(kernel_size: int, precision: str) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((domain.SPIKE_SAMPLES, _COLUMNS, 1)),
            keras.layers.LayerNormalization(axis=1),
            keras.layers.Conv2D(32, (kernel_size, 1), activation='relu', dtype=precision),
            keras.layers.MaxPooling2D((2, 1), dtype=precision),
            keras.layers.Conv2D(64, (kernel_size, 1), activation='relu', dtype=precision),
            keras.layers.MaxPooling2D((2, 2), dtype=precision),
            *_head(precision),
        ],
        name=f'k{kernel_size}',
    )


def _cnn(kernel_size: int, precision: str) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((domain.SPIKE_SAMPLES,)),
            keras.layers.Reshape((domain.SPIKE_SAMPLES, 1)),
            keras.layers.LayerNormalization(axis=1),
            keras.layers.Conv1D(32, kernel_size, activation='relu', dtype=precision),
            keras.layers.MaxPooling1D(2, dtype=precision),
            keras.layers.Conv1D(64, kernel_size, activation='relu', dtype=precision),
            keras.layers.MaxPooling1D(2, dtype=precision),
            *_head(precision),
        ],
        name=f'k{kernel_size}',
    )


def _head(precision: str) -> list[keras.Layer]:
    return [
        keras.layers.Flatten(dtype=precision),
        keras.layers.Dropout(0.5, dtype=precision),
        keras.layers.Dense(len(domain.LABEL_NAMES), activation='sigmoid'),
    ]
