"""Sweeps in; spikes, noise masks and waveform features out."""
