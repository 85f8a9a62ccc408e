"""Spikes of two classes that are easy to tell apart."""

import numpy as np

from beam_pipelines import domain


def make_spikes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n, 160) float32 in pA and (n,) labels; NSER spikes are half as wide as SER spikes."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(domain.LABEL_NAMES), count)
    time_ms = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / 40
    width_ms = np.where(label == 0, 0.3, 0.15)[:, np.newaxis]
    waveform = -80 * np.exp(-0.5 * (time_ms / width_ms) ** 2) + rng.normal(0, 3, (count, domain.SPIKE_SAMPLES))
    return waveform.astype(np.float32), label


def as_cut(waveforms: np.ndarray) -> np.ndarray:
    """Moves (n, 160) spikes in their windows so that each first reaches -50 pA at sample 40, as if cut there."""
    first = np.argmax(waveforms <= domain.TRIGGER_PA, axis=1)
    shifted = zip(waveforms, domain.SAMPLES_BEFORE_TRIGGER - first, strict=True)
    return np.stack([np.roll(waveform, shift) for waveform, shift in shifted])
